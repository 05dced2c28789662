"""Files and directories between this machine and an instance, as fast as the link allows."""
