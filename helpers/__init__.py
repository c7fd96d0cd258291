"""What the services stand on: records, providers, storage, search arguments, downloads."""
