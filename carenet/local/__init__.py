"""One machine's own servers: real Kafka and real PostgreSQL from packages alone, and the supervisor of children.

May import `carenet.errors` and `carenet.settings`; knows nothing of statements, topics or tables. `packages`
fetches and checks Kafka's jars; `kafka` and `postgres` run the two servers on 127.0.0.1; `process` starts one
child that dies with its parent (through the script `launch`); `service` and `supervisor` keep several children
alive; `probes` says what "well" means; `runfile` tells others what runs, and `dirlock` keeps two of us apart.
"""
