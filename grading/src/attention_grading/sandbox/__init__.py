"""What keeps learners' code from doing harm: processes that fork, and their confinement.

Its doors are ``processes.WarmServer``, which starts processes, and ``fork_server.serve``, which runs in them; nothing
here imports more than the standard library.
"""
