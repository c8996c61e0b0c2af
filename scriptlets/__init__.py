"""The scriptlets that ship: the runner's own (``core``) and those for recipes (``steps``, ``shell``)."""
