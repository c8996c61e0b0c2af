"""What is run on the other side to take and give files: POSIX shell, with names as arguments and never as text."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable

_FAIL = """\
fail() { echo "$1" >&2; exit 1; }
"""
# Systems differ in the program that makes digests.
_DIGEST = """\
digest() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256
  else openssl dgst -sha256 -r; fi <"$1" | cut -c 1-64
}
"""
# What a connection that was cut left behind goes first; whoever still works on it then finds nothing to rename.
_PUT = f"""\
{_FAIL}{_DIGEST}\
[ ! -d "$1" ] || fail "there is a directory of that name"
part=$1.ms-$4.part
trap 'rm -f -- "$part"' EXIT
trap 'exit 1' HUP INT PIPE TERM
mkdir -p -- "$(dirname -- "$1")" || exit 1
rm -f -- "$1".ms-*.part
cat >"$part" || exit 1
[ "$(wc -c <"$part")" -eq "$2" ] || fail "another size arrived than was sent"
[ "$(digest "$part")" = "$3" ] || fail "another sha256 arrived than was sent"
chmod "$5" "$part" && mv -f -- "$part" "$1" || exit 1
"""
_GET = f"""\
{_FAIL}{_DIGEST}\
[ -f "$1" ] || fail "there is no such file"
size=$(wc -c <"$1") && sum=$(digest "$1") && echo "$size $sum" && cat <"$1"
"""
# Names come twice, each ended by a zero byte, since there may be more than a command can have.
_GET_TREE = """\
sums=sha256sum
command -v "$sums" >/dev/null 2>&1 || sums='shasum -a 256'
cd -- "$1" || exit 1
head -c "$2" | xargs -0 sh -c 'sums=$0; find "$@" -type f -exec $sums {} + 2>/dev/null' "$sums"
echo
exec tar --null -cf - -T -
"""
# The listing is the one way in which every system tells the size of a file that cannot be read.
_STAT = """\
LC_ALL=C
export LC_ALL
if [ -h "$1" ]; then kind=link
elif [ -d "$1" ]; then kind=directory
elif [ -f "$1" ]; then kind=file
elif [ -e "$1" ]; then kind=other
else
  ls -d -- "$(dirname -- "$1")" >/dev/null || exit 1
  echo missing 0
  exit 0
fi
name=$1
set -f
set -- $(ls -ldn -- "$name")
echo "$kind $5"
"""


def put_script(remote: str, size: int, sha256: str, mode: int) -> str:
    """Give what takes a file of a size and a digest from standard input and lets it appear whole."""
    return _with(_PUT, [remote_name(remote), str(size), sha256, _nonce(), f"{mode:o}"])


def get_script(remote: str) -> str:
    """Give what says size and digest of a file on one line, and then the file."""
    return _with(_GET, [remote_name(remote)])


def get_tree_script(remote: str, names: Iterable[str]) -> tuple[str, bytes]:
    """Give what writes digests, an empty line, and an archive of files and folders of a directory; and its input."""
    given = b"".join(os.fsencode(f"./{name}\0") for name in names)
    return _with(_GET_TREE, [remote_name(remote), str(len(given))]), given * 2


def stat_script(remote: str) -> str:
    """Give what says of which kind a path is, and its size."""
    return _with(_STAT, [remote_name(remote)])


def remote_name(remote: str) -> str:
    """Give a path that no program takes for an option."""
    return remote if remote.startswith("/") else f"./{remote}"


def _with(script: str, arguments: Iterable[str]) -> str:
    return f"set -- {shlex.join(arguments)}\n{script}"


def _nonce() -> str:
    return os.urandom(6).hex()
