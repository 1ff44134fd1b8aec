"""Files, folders and sockets that belong to this user alone, whatever the umask and whoever else is on the machine."""
