"""The machines of the local cloud: one real SSH server and home directory per instance.

The daemon talks to a :class:`~spot_connect.local.boxes.supervisor.Supervisor`. That starts one *zygote*, a process with
one thread and everything imported, which forks a *box process* per instance: fork, enter the sandbox, drop privileges,
serve SSH. Sessions, SFTP, forwards and user data all run inside that process, with the box's view and the box's rights.

Who holds whom: the daemon and each box share a socket pair; its end tells each that the other is gone. A box asks the
kernel to end it with the zygote, and the zygote ends when the daemon's socket does. In a namespace level the box is
held by the first process of its pid namespace, and ending that one ends everything in it.
"""
