"""Where to put the nodes of a graph: layers, few crossings, straight edges.

    1. layer(v) = longest path from v to the root      4. coordinates: every node wants the mean of
    2. long edges get one waypoint per layer crossed      its neighbours; minimise Σ (y - wish)²
    3. order in a layer: barycentre sweeps                subject to order and spacing

Reference: Sugiyama, Tagawa, Toda 1981; Gansner et al. 1993 (dot). Step 4 is isotonic regression,
solved exactly by pooling adjacent violators. All long edges of one node share their waypoints, so
a number used everywhere is drawn as one line with branches. Left out: network simplex, ports.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Layout", "layered"]

_SWEEPS = 12
_WAYPOINT_HEIGHT = 16.0
_STRAIGHTNESS = 4.0  # how much harder waypoints pull at each other than boxes do


@dataclass(frozen=True)
class Layout:
    """Centres of the nodes, waypoints of each edge, and the size of it all, in pixels.

    A waypoint is (left, right, y): the edge runs level from left to right through that layer.
    """

    centres: list[tuple[float, float]]
    routes: list[list[tuple[float, float, float]]]
    width: float
    height: float


def layered(
    sizes: list[tuple[float, float]],
    edges: list[tuple[int, int]],
    *,
    layer_gap: float = 72.0,
    node_gap: float = 14.0,
) -> Layout:
    """Lay out an acyclic graph from left to right.

    sizes: (width, height) of each node, parents before children, the root last.
    edges: (from, to), with from < to; several edges between the same two are one path here.
    """
    layer = _longest_path(len(sizes), edges)
    depth = max(layer, default=0)
    columns: list[list[int]] = [[] for _ in range(depth + 1)]
    heights = [height for _, height in sizes]
    for node, distance in enumerate(layer):
        columns[depth - distance].append(node)

    paths, links = _waypoints(edges, layer, columns, heights)
    before, after = defaultdict(list), defaultdict(list)
    for a, b in links:
        after[a].append(b)
        before[b].append(a)
    columns = _uncross(columns, before, after)
    y = _coordinates(columns, before, after, heights, len(sizes), node_gap)

    lefts, widths, x = [], [], 0.0
    for column in columns:
        width = max((sizes[v][0] for v in column if v < len(sizes)), default=0.0)
        lefts.append(x)
        widths.append(width)
        x += width + layer_gap
    top = min(y[v] - heights[v] / 2 for v in range(len(heights)))
    column_of = {v: i for i, column in enumerate(columns) for v in column}

    def centre(v: int) -> tuple[float, float]:
        i = column_of[v]
        return lefts[i] + widths[i] - sizes[v][0] / 2, y[v] - top  # boxes end where edges start

    def through(v: int) -> tuple[float, float, float]:
        i = column_of[v]
        return lefts[i], lefts[i] + widths[i], y[v] - top

    return Layout(
        centres=[centre(v) for v in range(len(sizes))],
        routes=[[through(v) for v in path] for path in paths],
        width=x - layer_gap,
        height=max(y[v] + heights[v] / 2 for v in range(len(heights))) - top,
    )


def _longest_path(n: int, edges: list[tuple[int, int]]) -> list[int]:
    """Distance of each node to the root along the longest way: leaves end up beside their use."""
    layer = [0] * n
    for a, b in sorted(edges, key=lambda edge: -edge[1]):
        layer[a] = max(layer[a], layer[b] + 1)
    return layer


def _waypoints(
    edges: list[tuple[int, int]],
    layer: list[int],
    columns: list[list[int]],
    heights: list[float],
) -> tuple[list[list[int]], set[tuple[int, int]]]:
    """Split edges at every layer they cross; returns each edge's waypoints and the short links."""
    depth = len(columns) - 1
    shared: dict[tuple[int, int], int] = {}
    paths, links = [], set()
    for a, b in edges:
        path = []
        for distance in range(layer[a] - 1, layer[b], -1):
            point = shared.get((a, distance))
            if point is None:
                point = shared[a, distance] = len(heights)
                heights.append(_WAYPOINT_HEIGHT)
                columns[depth - distance].append(point)
            path.append(point)
        paths.append(path)
        stops = [a, *path, b]
        links.update(pairwise(stops))
    return paths, links


def _uncross(columns: list[list[int]], before: dict, after: dict) -> list[list[int]]:
    """Order each column by the mean place of its neighbours, to and fro; keep the best seen."""
    best, fewest = columns, _crossings(columns, after)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        columns = [list(column) for column in columns]
        order = range(1, len(columns)) if forward else range(len(columns) - 2, -1, -1)
        for i in order:
            place = {v: k for k, v in enumerate(columns[i - 1 if forward else i + 1])}
            means = {}
            for k, v in enumerate(columns[i]):
                near = [place[u] for u in neighbours[v]]
                means[v] = sum(near) / len(near) if near else k
            columns[i].sort(key=means.__getitem__)
        crossings = _crossings(columns, after)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _crossings(columns: list[list[int]], after: dict) -> int:
    """How many pairs of links cross: inversions between one column's order and the next's."""
    total = 0
    for left, right in pairwise(columns):
        place = {v: k for k, v in enumerate(right)}
        ends: list[int] = []
        for v in left:
            mine = sorted(place[u] for u in after[v])
            total += sum(1 for end in ends for m in mine if end > m)
            ends += mine
    return total


def _coordinates(
    columns: list[list[int]],
    before: dict,
    after: dict,
    heights: list[float],
    n_nodes: int,
    gap: float,
) -> list[float]:
    """The y of every node and waypoint, pulled to and fro between neighbouring columns."""
    y = [0.0] * len(heights)
    for column in columns:
        total = sum(heights[v] + gap for v in column)
        top = -total / 2
        for v in column:
            y[v] = top + (heights[v] + gap) / 2
            top += heights[v] + gap

    def wish(v: int, neighbours: list[int]) -> tuple[float, float]:
        weights = [_STRAIGHTNESS if v >= n_nodes and u >= n_nodes else 1.0 for u in neighbours]
        total = sum(weights)
        return sum(w * y[u] for w, u in zip(weights, neighbours)) / total, total

    for sweep in range(2 * _SWEEPS):
        both = sweep >= 2 * _SWEEPS - 4  # the last passes look both ways at once
        for column in columns if sweep % 2 else reversed(columns):
            wishes = []
            for v in column:
                near = (before[v] + after[v]) if both else (before[v] if sweep % 2 else after[v])
                wishes.append(wish(v, near) if near else (y[v], 0.1))
            spaces = [(heights[a] + heights[b]) / 2 + gap for a, b in pairwise(column)]
            for v, place in zip(column, _spaced(wishes, spaces)):
                y[v] = place
    return y


def _spaced(wishes: list[tuple[float, float]], spaces: list[float]) -> list[float]:
    """The y closest to the (place, weight) wishes with y[i+1] - y[i] ≥ spaces[i]."""
    offsets = [0.0]
    for space in spaces:
        offsets.append(offsets[-1] + space)
    pools: list[list[float]] = []  # [mean, weight, count]
    for (place, weight), offset in zip(wishes, offsets):
        pools.append([place - offset, weight, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, count = pools.pop()
            left = pools[-1]
            left[0] = (left[0] * left[1] + mean * weight) / (left[1] + weight)
            left[1] += weight
            left[2] += count
    means = [mean for mean, _, count in pools for _ in range(int(count))]
    return [mean + offset for mean, offset in zip(means, offsets)]
