"""Who makes the shards: processes of this machine, or any other executor."""
