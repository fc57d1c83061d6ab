"""A Python that lacks what Windows lacks: a folder for ``PYTHONPATH``, whose ``sitecustomize`` each process imports."""
