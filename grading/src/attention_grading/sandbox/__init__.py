"""What keeps learners' code from doing harm: processes that fork, and their confinement.

Its door is ``processes.WarmServer`` for who runs code, and ``fork_server.serve`` for what is run; nothing here imports
more than the standard library.
"""
