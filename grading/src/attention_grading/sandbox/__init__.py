"""What keeps learners' code from doing harm: processes that fork, and their confinement.

Its doors are ``warm_server.WarmServer``, which starts processes, and ``warm_process.lend``, which runs in them; nothing
here imports more than the standard library.
"""
