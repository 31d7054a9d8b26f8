"""The Faust application: each processor is a few lines over carenet. Importing this package has no effect."""
