//! Minimum s-t cut by Boykov and Kolmogorov's augmenting paths ("An Experimental Comparison of Min-Cut/Max-Flow
//! Algorithms", PAMI 2004): two search trees grow from the terminals, meet, and are repaired after each push.

use std::collections::VecDeque;

/// A graph over nodes `0..n` with capacities to two terminals and between neighbours.
pub(crate) struct CutGraph {
    /// Residual capacity from the source (positive) or to the sink (negative): a node keeps only the difference.
    terminal: Vec<f32>,
    first: Vec<u32>,
    arcs: Vec<Arc>,
    /// Edges as given, until [`CutGraph::solve`] lays them out.
    edges: Vec<(u32, u32, f32)>,
}

#[derive(Clone, Copy)]
struct Arc {
    head: u32,
    /// The same edge the other way.
    sister: u32,
    residual: f32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tree {
    Free,
    Source,
    Sink,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    None,
    Terminal,
    Orphan,
    /// The arc from the node to its parent.
    Arc(u32),
}

/// Residuals below this are used up: sums of f32 capacities leave crumbs that would be pushed for ever.
const CRUMB: f32 = 1e-4;

impl CutGraph {
    /// A graph of `nodes` nodes with room for `edges` edges.
    pub(crate) fn new(nodes: usize, edges: usize) -> Self {
        Self { terminal: vec![0.0; nodes], first: Vec::new(), arcs: Vec::new(), edges: Vec::with_capacity(edges) }
    }

    /// Adds the cost that `node` pays on the sink's side (`source`) and on the source's side (`sink`).
    pub(crate) fn add_terminal(&mut self, node: usize, source: f32, sink: f32) {
        self.terminal[node] += source - sink;
    }

    /// Adds an edge that costs `capacity` where its ends come to lie on different sides.
    pub(crate) fn add_edge(&mut self, a: usize, b: usize, capacity: f32) {
        self.edges.push((a as u32, b as u32, capacity));
    }

    /// Finds the minimum cut. True where a node is on the source's side; what is free to choose goes to the sink.
    pub(crate) fn solve(mut self) -> Vec<bool> {
        self.lay_out();
        let mut search = Search::new(self);
        search.run();
        search.tree.iter().map(|&tree| tree == Tree::Source).collect()
    }

    /// Sorts the edges into arcs by tail.
    fn lay_out(&mut self) {
        let nodes = self.terminal.len();
        let mut first = vec![0u32; nodes + 1];
        for &(a, b, _) in &self.edges {
            first[a as usize + 1] += 1;
            first[b as usize + 1] += 1;
        }
        for i in 0..nodes {
            first[i + 1] += first[i];
        }
        let mut next = first.clone();
        self.arcs = vec![Arc { head: 0, sister: 0, residual: 0.0 }; self.edges.len() * 2];
        for &(a, b, residual) in &self.edges {
            let (forth, back) = (next[a as usize], next[b as usize]);
            next[a as usize] += 1;
            next[b as usize] += 1;
            self.arcs[forth as usize] = Arc { head: b, sister: back, residual };
            self.arcs[back as usize] = Arc { head: a, sister: forth, residual };
        }
        self.first = first;
        self.edges = Vec::new();
    }
}

struct Search {
    graph: CutGraph,
    tree: Vec<Tree>,
    parent: Vec<Parent>,
    /// When a node's distance to its terminal was last known to hold, and that distance.
    stamp: Vec<u32>,
    distance: Vec<u32>,
    active: VecDeque<u32>,
    queued: Vec<bool>,
    orphans: Vec<u32>,
    now: u32,
}

impl Search {
    fn new(graph: CutGraph) -> Self {
        let nodes = graph.terminal.len();
        let mut search = Self {
            graph,
            tree: vec![Tree::Free; nodes],
            parent: vec![Parent::None; nodes],
            stamp: vec![0; nodes],
            distance: vec![0; nodes],
            active: VecDeque::with_capacity(nodes),
            queued: vec![false; nodes],
            orphans: Vec::new(),
            now: 0,
        };
        for node in 0..nodes {
            let terminal = search.graph.terminal[node];
            if terminal.abs() > CRUMB {
                search.tree[node] = if terminal > 0.0 { Tree::Source } else { Tree::Sink };
                search.parent[node] = Parent::Terminal;
                search.distance[node] = 1;
                search.activate(node as u32);
            }
        }
        search
    }

    fn activate(&mut self, node: u32) {
        if !self.queued[node as usize] {
            self.queued[node as usize] = true;
            self.active.push_back(node);
        }
    }

    fn arcs_of(&self, node: u32) -> std::ops::Range<u32> {
        self.graph.first[node as usize]..self.graph.first[node as usize + 1]
    }

    fn run(&mut self) {
        while let Some(node) = self.active.pop_front() {
            self.queued[node as usize] = false;
            // A node stays at the front until it has nothing left to offer.
            while self.tree[node as usize] != Tree::Free {
                let Some(bridge) = self.grow(node) else { break };
                self.now += 1;
                self.augment(bridge);
                self.adopt();
            }
        }
    }

    /// Grows the tree from `node`; the arc from the source's to the sink's tree where they meet.
    fn grow(&mut self, node: u32) -> Option<u32> {
        let tree = self.tree[node as usize];
        for arc in self.arcs_of(node) {
            let Arc { head, sister, residual } = self.graph.arcs[arc as usize];
            let open = if tree == Tree::Source { residual } else { self.graph.arcs[sister as usize].residual };
            if open <= CRUMB {
                continue;
            }
            let other = head as usize;
            if self.tree[other] == Tree::Free {
                self.tree[other] = tree;
                self.parent[other] = Parent::Arc(sister);
                self.stamp[other] = self.stamp[node as usize];
                self.distance[other] = self.distance[node as usize] + 1;
                self.activate(head);
            } else if self.tree[other] != tree {
                return Some(if tree == Tree::Source { arc } else { sister });
            } else if self.stamp[other] <= self.stamp[node as usize]
                && self.distance[other] > self.distance[node as usize]
            {
                // A shorter way to the terminal keeps the paths short.
                self.parent[other] = Parent::Arc(sister);
                self.stamp[other] = self.stamp[node as usize];
                self.distance[other] = self.distance[node as usize] + 1;
            }
        }
        None
    }

    /// The arc that carries flow between `node` and its parent, given the arc from node to parent.
    fn flow_arc(&self, node: usize, to_parent: u32) -> usize {
        if self.tree[node] == Tree::Source {
            self.graph.arcs[to_parent as usize].sister as usize
        } else {
            to_parent as usize
        }
    }

    /// Pushes what the path through `bridge` can carry; nodes whose way to the parent is used up become orphans.
    fn augment(&mut self, bridge: u32) {
        let Arc { head, sister, residual } = self.graph.arcs[bridge as usize];
        let tail = self.graph.arcs[sister as usize].head;
        let mut flow = residual;
        for end in [tail, head] {
            let mut node = end as usize;
            while let Parent::Arc(arc) = self.parent[node] {
                flow = flow.min(self.graph.arcs[self.flow_arc(node, arc)].residual);
                node = self.graph.arcs[arc as usize].head as usize;
            }
            flow = flow.min(self.graph.terminal[node].abs());
        }

        self.push(bridge as usize, flow);
        for end in [tail, head] {
            let mut node = end as usize;
            while let Parent::Arc(arc) = self.parent[node] {
                let carrying = self.flow_arc(node, arc);
                self.push(carrying, flow);
                if self.graph.arcs[carrying].residual <= CRUMB {
                    self.parent[node] = Parent::Orphan;
                    self.orphans.push(node as u32);
                }
                node = self.graph.arcs[arc as usize].head as usize;
            }
            let terminal = &mut self.graph.terminal[node];
            *terminal -= flow.copysign(*terminal);
            if terminal.abs() <= CRUMB {
                self.parent[node] = Parent::Orphan;
                self.orphans.push(node as u32);
            }
        }
    }

    fn push(&mut self, arc: usize, flow: f32) {
        let sister = self.graph.arcs[arc].sister as usize;
        self.graph.arcs[arc].residual -= flow;
        self.graph.arcs[sister].residual += flow;
    }

    /// Finds a new parent for every orphan, or sets it free.
    fn adopt(&mut self) {
        let mut orphans: VecDeque<u32> = self.orphans.drain(..).collect();
        while let Some(orphan) = orphans.pop_front() {
            let node = orphan as usize;
            let tree = self.tree[node];
            let mut best: Option<(u32, u32)> = None;
            for arc in self.arcs_of(orphan) {
                let Arc { head, sister, residual } = self.graph.arcs[arc as usize];
                // The residual from the neighbour to the orphan in the source's tree, the other way in the sink's.
                let open = if tree == Tree::Source { self.graph.arcs[sister as usize].residual } else { residual };
                if open <= CRUMB || self.tree[head as usize] != tree {
                    continue;
                }
                if let Some(distance) = self.distance_to_terminal(head)
                    && best.is_none_or(|(_, shortest)| distance < shortest)
                {
                    best = Some((arc, distance));
                }
            }
            if let Some((arc, distance)) = best {
                self.parent[node] = Parent::Arc(arc);
                self.stamp[node] = self.now;
                self.distance[node] = distance + 1;
                continue;
            }
            // No way back to the terminal: the children are orphans now, and the neighbours may claim the node.
            self.tree[node] = Tree::Free;
            self.parent[node] = Parent::None;
            for arc in self.arcs_of(orphan) {
                let Arc { head, sister, residual } = self.graph.arcs[arc as usize];
                if self.tree[head as usize] != tree {
                    continue;
                }
                let open = if tree == Tree::Source { self.graph.arcs[sister as usize].residual } else { residual };
                if open > CRUMB {
                    self.activate(head);
                }
                if self.parent[head as usize] == Parent::Arc(sister) {
                    self.parent[head as usize] = Parent::Orphan;
                    orphans.push_back(head);
                }
            }
        }
    }

    /// Arcs from `node` up to its terminal, or none where an orphan is on the way. Marks the way as checked.
    fn distance_to_terminal(&mut self, start: u32) -> Option<u32> {
        let mut node = start as usize;
        let mut steps = 0;
        let length = loop {
            if self.stamp[node] == self.now {
                break steps + self.distance[node];
            }
            match self.parent[node] {
                Parent::Arc(arc) => {
                    steps += 1;
                    node = self.graph.arcs[arc as usize].head as usize;
                }
                Parent::Terminal => {
                    self.stamp[node] = self.now;
                    self.distance[node] = 1;
                    break steps + 1;
                }
                Parent::Orphan | Parent::None => return None,
            }
        };
        let (mut node, mut left) = (start as usize, length);
        while self.stamp[node] != self.now {
            self.stamp[node] = self.now;
            self.distance[node] = left;
            left -= 1;
            let Parent::Arc(arc) = self.parent[node] else { break };
            node = self.graph.arcs[arc as usize].head as usize;
        }
        Some(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small linear congruential generator; the graphs need no better.
    fn numbers(mut seed: u64) -> impl FnMut() -> f32 {
        move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 40) as f32 / 16_777_216.0 * 8.0).floor()
        }
    }

    /// Against all 2^n cuts of random graphs.
    #[test]
    fn the_cut_is_minimal() {
        for seed in 0..300 {
            let mut next = numbers(seed);
            let nodes = 2 + seed as usize % 9;
            let terminals: Vec<(f32, f32)> = (0..nodes).map(|_| (next(), next())).collect();
            let mut edges = Vec::new();
            for a in 0..nodes {
                for b in a + 1..nodes {
                    if next() > 3.0 {
                        edges.push((a, b, next()));
                    }
                }
            }
            let cost = |side: &dyn Fn(usize) -> bool| -> f32 {
                let terminals: f32 = terminals.iter().enumerate().map(|(i, &(s, t))| if side(i) { t } else { s }).sum();
                let edges: f32 = edges.iter().map(|&(a, b, c)| if side(a) == side(b) { 0.0 } else { c }).sum();
                terminals + edges
            };
            let mut graph = CutGraph::new(nodes, edges.len());
            for (node, &(source, sink)) in terminals.iter().enumerate() {
                graph.add_terminal(node, source, sink);
            }
            for &(a, b, capacity) in &edges {
                graph.add_edge(a, b, capacity);
            }
            let cut = graph.solve();
            let least = (0..1u32 << nodes).map(|mask| cost(&|i| mask >> i & 1 == 1)).fold(f32::MAX, f32::min);
            assert!((cost(&|i| cut[i]) - least).abs() < 1e-3, "seed {seed}");
        }
    }
}
