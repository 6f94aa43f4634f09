"""A bucket of a Java `HashMap`: a list of entries, or, where many keys share it, a red-black tree that is a list too.

Only keys that were made to collide fill a bucket so far. In a tree a new entry comes right after its parent in the
list, and the tree's root is always the list's first entry, so that the order depends on the tree's shape.
Behaviour: https://github.com/openjdk/jdk/blob/master/src/java.base/share/classes/java/util/HashMap.java
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

_FEWEST_OF_A_TREE = 7
"""After a split, fewer entries are a plain list again."""

_SIDES = ("left", "right")


class _Node:
    """An entry in a tree."""

    __slots__ = ("after", "before", "key", "left", "parent", "rank", "red", "right", "spread")

    def __init__(self, spread: int, key: str) -> None:
        self.spread = spread
        self.key = key
        # Java compares hashes as signed numbers, and strings by their UTF-16 code units.
        signed = spread - (1 << 32) if spread >> 31 else spread
        self.rank = (signed, key.encode("utf-16-be", "surrogatepass"))
        self.parent: _Node | None = None
        self.left: _Node | None = None
        self.right: _Node | None = None
        self.before: _Node | None = None
        self.after: _Node | None = None
        self.red = False


class Bucket:
    """The entries of one bucket: hashes and keys, in the order of iteration."""

    __slots__ = ("_first", "_list", "_root")

    def __init__(self, entries: list[tuple[int, str]] | None = None) -> None:
        self._list = entries if entries is not None else []
        self._first: _Node | None = None
        self._root: _Node | None = None

    def add(self, spread: int, key: str) -> int:
        """Add an entry; return how many are in the list, 0 for a tree."""
        if self._root is None:
            self._list.append((spread, key))
            return len(self._list)
        node = _Node(spread, key)
        parent = self._hang(node)
        node.before, node.after = parent, parent.after
        if parent.after is not None:
            parent.after.before = node
        parent.after = node
        self._balance(node)
        self._root_to_front()
        return 0

    def make_tree(self) -> None:
        """Make a tree of the list."""
        nodes = [_Node(spread, key) for spread, key in self._list]
        self._list = []
        self._first = self._root = nodes[0]
        for before, node in itertools.pairwise(nodes):
            before.after, node.before = node, before
        for node in nodes[1:]:
            self._hang(node)
            self._balance(node)
        self._root_to_front()

    def split(self, bit: int) -> tuple[Bucket | None, Bucket | None]:
        """Return the entries whose hash does not have a bit, and those whose hash has it."""
        entries = list(self._entries())
        parts = [[entry for entry in entries if not entry[0] & bit], [entry for entry in entries if entry[0] & bit]]
        low, high = (self._part(part, len(entries)) if part else None for part in parts)
        return low, high

    def _part(self, entries: list[tuple[int, str]], of: int) -> Bucket:
        if self._root is None:
            return Bucket(entries)
        if len(entries) == of and of >= _FEWEST_OF_A_TREE:
            return self
        part = Bucket(entries)
        if len(entries) >= _FEWEST_OF_A_TREE:
            part.make_tree()
        return part

    def in_order(self) -> Iterable[str]:
        """Return the keys in the order of iteration."""
        return [key for _, key in self._entries()]

    def _entries(self) -> Iterator[tuple[int, str]]:
        yield from self._list
        node = self._first
        while node is not None:
            yield node.spread, node.key
            node = node.after

    def _hang(self, node: _Node) -> _Node:
        """Hang a red leaf into the tree; return its parent."""
        place = self._root
        while place is not None:
            parent = place
            side = "left" if node.rank <= parent.rank else "right"
            place = getattr(parent, side)
        setattr(parent, side, node)
        node.parent = parent
        return parent

    def _balance(self, node: _Node) -> None:
        """Restore the tree's rules above a new leaf: no red node has a red parent."""
        node.red = True
        while (parent := node.parent) is not None and parent.red and (above := parent.parent) is not None:
            near, far = _SIDES if parent is above.left else _SIDES[::-1]
            uncle: _Node | None = getattr(above, far)
            if uncle is not None and uncle.red:
                uncle.red = parent.red = False
                above.red = True
                node = above
                continue
            if node is getattr(parent, far):
                self._rotate(parent, near, far)
                node, parent = parent, node
            parent.red = False
            above.red = True
            self._rotate(above, far, near)
        if node.parent is None:
            node.red = False

    def _rotate(self, node: _Node, down: str, up: str) -> None:
        """Let a node go down to one side; its child of the other side takes its place."""
        child: _Node = getattr(node, up)
        inner: _Node | None = getattr(child, down)
        setattr(node, up, inner)
        if inner is not None:
            inner.parent = node
        child.parent = node.parent
        if node.parent is None:
            self._root = child
            child.red = False
        else:
            setattr(node.parent, "left" if node.parent.left is node else "right", child)
        setattr(child, down, node)
        node.parent = child

    def _root_to_front(self) -> None:
        root, first = self._root, self._first
        if root is None or first is None or root is first:
            return
        if root.before is not None:
            root.before.after = root.after
        if root.after is not None:
            root.after.before = root.before
        first.before, root.before, root.after = root, None, first
        self._first = root
