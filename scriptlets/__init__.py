"""The scriptlets that ship: the runner's own (``core``) and those for recipes (``steps``, ``shell``)."""

from pkgutil import extend_path

# A project may have scriptlets of its own in a package of the same name.
__path__ = extend_path(__path__, __name__)
