//! A cover of the pairs inside tokens by rectangles, few enough to be bits of a register.
//!
//! Left bytes with the same right neighbours behave alike; classes of them are joined, always the two
//! that cost least, until there are [`CLASSES`]. Each class is a bit: a left byte has the bit of its
//! class, a right byte the bits of all classes some member of which it follows. What joining
//! costs is the expected number of boundaries that it hides, from how often each byte occurs in
//! the tokens.

use super::{WORDS, is_inside};

/// Number of classes of left bytes: four planes of eight bits.
pub(super) const CLASSES: usize = 32;

/// The bits of each byte as a left and as a right neighbour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cover {
    pub(super) left: Box<[u32; 256]>,
    pub(super) right: Box<[u32; 256]>,
}

/// The right neighbours of a left byte, one bit each.
type Row = [u64; 4];

struct Class {
    /// Right neighbours of any member.
    row: Row,
    /// Sum of the members' weights.
    weight: f32,
    members: Vec<u8>,
}

impl Cover {
    /// The cover of the pairs in `inside`, where byte `b` occurs `seen[b]` times, at least once.
    pub(super) fn of(inside: &[u64], seen: &[u64; 256]) -> Self {
        let mut classes = joined(distinct(inside, seen), seen);
        // Bytes that nothing follows need no bit.
        classes.retain(|class| class.row != [0; 4]);
        let mut cover = Self { left: Box::new([0; 256]), right: Box::new([0; 256]) };
        for (number, class) in classes.iter().enumerate() {
            for &member in &class.members {
                cover.left[usize::from(member)] = 1 << number;
            }
            for byte in members(&class.row) {
                cover.right[usize::from(byte)] |= 1 << number;
            }
        }
        cover
    }

    #[inline(always)]
    pub(super) fn held(&self, left: u8, right: u8) -> bool {
        self.left[usize::from(left)] & self.right[usize::from(right)] != 0
    }

    /// The first pair of `inside` that the cover does not hold together.
    pub(super) fn lacking(&self, inside: &[u64]) -> Option<(u8, u8)> {
        let pairs = (0..=255u8).flat_map(|a| (0..=255u8).map(move |b| (a, b)));
        let mut lacking = pairs.filter(|&(a, b)| is_inside(inside, a, b) && !self.held(a, b));
        lacking.next()
    }
}

/// One class for each distinct row; that without neighbours, if any, among them.
fn distinct(inside: &[u64], seen: &[u64; 256]) -> Vec<Class> {
    debug_assert_eq!(inside.len(), WORDS);
    let mut classes: Vec<Class> = Vec::new();
    for (byte, row) in (0..=255u8).zip(inside.chunks_exact(4)) {
        let row = [row[0], row[1], row[2], row[3]];
        let weight = seen[usize::from(byte)] as f32;
        match classes.iter_mut().find(|class| class.row == row) {
            Some(class) => {
                class.members.push(byte);
                class.weight += weight;
            }
            None => classes.push(Class { row, weight, members: vec![byte] }),
        }
    }
    classes
}

/// Joins classes until at most [`CLASSES`] with neighbours are left.
fn joined(classes: Vec<Class>, seen: &[u64; 256]) -> Vec<Class> {
    let (mut classes, empty): (Vec<_>, Vec<_>) =
        classes.into_iter().partition(|class| class.row != [0; 4]);
    let mut costs: Vec<Vec<f32>> = (0..classes.len())
        .map(|i| (0..i).map(|j| cost(&classes[i], &classes[j], seen)).collect())
        .collect();
    while classes.len() > CLASSES {
        let all = (0..classes.len()).flat_map(|i| (0..i).map(move |j| (i, j)));
        let cheapest = all.min_by(|&(a, b), &(c, d)| costs[a][b].total_cmp(&costs[c][d]));
        let Some((i, j)) = cheapest else { break };
        let gone = classes.remove(i);
        costs.remove(i);
        for row in &mut costs[i..] {
            row.remove(i);
        }
        let class = &mut classes[j];
        class.weight += gone.weight;
        class.members.extend(gone.members);
        class.row = union(&class.row, &gone.row);
        for other in (0..classes.len()).filter(|&other| other != j) {
            let (high, low) = (j.max(other), j.min(other));
            costs[high][low] = cost(&classes[high], &classes[low], seen);
        }
    }
    classes.extend(empty);
    classes
}

/// The expected boundaries that joining `a` and `b` hides, in no particular unit.
fn cost(a: &Class, b: &Class, seen: &[u64; 256]) -> f32 {
    let only = |row: &Row, other: &Row| -> f32 {
        let rest: Row = std::array::from_fn(|i| row[i] & !other[i]);
        members(&rest).map(|byte| seen[usize::from(byte)] as f32).sum()
    };
    a.weight * only(&b.row, &a.row) + b.weight * only(&a.row, &b.row)
}

fn union(a: &Row, b: &Row) -> Row {
    std::array::from_fn(|i| a[i] | b[i])
}

fn members(row: &Row) -> impl Iterator<Item = u8> {
    (0u8..4).zip(*row).flat_map(|(word, mut bits)| {
        std::iter::from_fn(move || {
            let bit = (bits != 0).then(|| bits.trailing_zeros() as u8)?;
            bits &= bits - 1;
            Some(word * 64 + bit)
        })
    })
}
