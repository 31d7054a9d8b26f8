-- Schema version 1 (carenet/store/schema.py). Every table begins with the partition: workers never touch one
-- another's rows. Names are in the words of the code: rules/rows.py says what the columns of the decision state mean.

CREATE TABLE meta (
    key   text PRIMARY KEY,
    value bytea NOT NULL
);

-- The place of each partition in its log. `next_offset` is what a batch compares and sets; its row is the lock.
CREATE TABLE partition_state (
    partition       integer PRIMARY KEY,
    next_offset     bigint NOT NULL,
    size            bigint NOT NULL,
    log_time_ms     bigint NOT NULL,
    frontier        bytea NOT NULL,            -- Tree.encode() at `size`
    published_index bigint NOT NULL DEFAULT 0  -- entries before it are in the entries topic
) WITH (fillfactor = 50);
ALTER TABLE partition_state ALTER frontier SET STORAGE EXTERNAL;

-- One row for entry, statement and body: append-only, wide, and incompressible, so kept on the page where it fits.
CREATE TABLE entries (
    partition          integer NOT NULL,
    index              bigint NOT NULL,
    subject            bytea NOT NULL,
    seq                bigint NOT NULL,
    entry              bytea NOT NULL,
    statement          bytea NOT NULL,
    digest             bytea NOT NULL,
    body               bytea,
    issuer             bytea NOT NULL,
    type               text NOT NULL,
    compartment        text,
    "offset"           bigint NOT NULL,
    log_append_time_ms bigint NOT NULL,
    PRIMARY KEY (partition, index)
) WITH (toast_tuple_target = 8160);
ALTER TABLE entries
    ALTER entry SET STORAGE EXTERNAL,
    ALTER statement SET STORAGE EXTERNAL,
    ALTER body SET STORAGE EXTERNAL;
-- Unique as a second guard: no chain forks, no statement is accepted twice in one log.
CREATE UNIQUE INDEX entries_subject ON entries (partition, subject, seq);
CREATE UNIQUE INDEX entries_digest ON entries (digest, partition);
CREATE UNIQUE INDEX entries_offset ON entries (partition, "offset");

CREATE TABLE tiles (
    partition integer NOT NULL,
    level     integer NOT NULL,
    index     bigint NOT NULL,
    hashes    bytea NOT NULL,  -- 8,192 bytes; only full tiles are kept
    PRIMARY KEY (partition, level, index)
);
ALTER TABLE tiles ALTER hashes SET STORAGE EXTERNAL;

CREATE TABLE participants (
    partition    integer NOT NULL,
    id           bytea NOT NULL,
    name         text NOT NULL,
    organisation bytea,
    roles        text[] NOT NULL,
    may_give     text[] NOT NULL,
    sign         bytea NOT NULL,
    hpke         bytea,
    retired      bytea[] NOT NULL,
    statements   bytea[] NOT NULL,
    suspended    boolean NOT NULL,
    PRIMARY KEY (partition, id)
);

CREATE TABLE subjects (
    partition  integer NOT NULL,
    subject    bytea NOT NULL,
    kind       text NOT NULL,
    next_seq   bigint NOT NULL,
    head       bytea NOT NULL,
    custodians bytea[] NOT NULL,
    write      text[] NOT NULL,
    emergency  boolean NOT NULL,
    PRIMARY KEY (partition, subject)
) WITH (fillfactor = 80);

CREATE TABLE epochs (
    partition   integer NOT NULL,
    subject     bytea NOT NULL,
    compartment text COLLATE "C" NOT NULL,
    ids         bytea[] NOT NULL,
    begun       bigint[] NOT NULL,
    public      bytea NOT NULL,
    begun_by    bytea NOT NULL,
    PRIMARY KEY (partition, subject, compartment)
);

CREATE TABLE grants (
    partition    integer NOT NULL,
    subject      bytea NOT NULL,
    id           bytea NOT NULL,
    grantee      bytea NOT NULL,
    actions      text[] NOT NULL,
    compartments text[] NOT NULL,
    history      boolean NOT NULL,
    from_seq     bigint NOT NULL,
    until_ms     bigint,
    purpose      text NOT NULL,
    to_seq       bigint,
    PRIMARY KEY (partition, subject, id)
);
CREATE INDEX grants_grantee ON grants (grantee);

CREATE TABLE idempotency (
    partition integer NOT NULL,
    subject   bytea NOT NULL,
    iss_cti   bytea NOT NULL,
    digest    bytea NOT NULL,
    tag       bytea,
    PRIMARY KEY (partition, subject, iss_cti)
);

CREATE TABLE reactions (
    partition integer NOT NULL,
    type      text NOT NULL,
    trigger   bytea NOT NULL,
    more      bytea NOT NULL,
    digest    bytea NOT NULL,
    PRIMARY KEY (partition, type, trigger, more)
);

-- From here on: no part of the replicated state.

CREATE TABLE checkpoints (
    partition integer NOT NULL,
    size      bigint NOT NULL,
    note      text NOT NULL,
    receipt   bytea NOT NULL,  -- of entry size - 1; its header and signature serve every entry before it
    PRIMARY KEY (partition, size)
);

CREATE TABLE rejections (
    partition integer NOT NULL,
    "offset"  bigint NOT NULL,
    reason    text NOT NULL,
    detail    text NOT NULL,
    head      bytea NOT NULL,
    issuer    bytea,
    is_proven boolean NOT NULL,
    digest    bytea,
    winner    bytea,
    at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (partition, "offset")
);
CREATE INDEX rejections_digest ON rejections (digest) WHERE digest IS NOT NULL;

-- Partitions that this node stopped serving, for whoever shows its health.
CREATE TABLE halts (
    partition integer PRIMARY KEY,
    reason    text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);

-- What the agent `activity` counts: events of one type about one subject in one minute of log time.
CREATE TABLE activity (
    partition    integer NOT NULL,
    subject      bytea NOT NULL,
    minute_ms    bigint NOT NULL,
    type         text NOT NULL,
    events       bigint NOT NULL,
    late         bigint NOT NULL,
    out_of_order bigint NOT NULL,
    last_index   bigint NOT NULL,  -- of the last entry counted, so that a repeat counts once
    PRIMARY KEY (partition, subject, minute_ms, type)
);
