//! Every move against one that goes bit by bit.

use proptest::prelude::*;

use super::*;

fn pack(bits: &[bool]) -> Vec<u64> {
    let word = |bits: &[bool]| bits.iter().rev().fold(0, |word, bit| word << 1 | u64::from(*bit));
    bits.chunks(64).map(word).collect()
}

/// A tree from choices: whether the next node goes down, or how many end first.
fn tree(steps: &[(bool, u8)], deep: usize) -> Vec<bool> {
    let (mut bits, mut depth) = (vec![true; deep + 1], deep + 1);
    for (down, ends) in steps {
        if !down {
            let ends = usize::from(*ends).min(depth - 1);
            bits.extend(std::iter::repeat_n(false, ends));
            depth -= ends;
        }
        bits.push(true);
        depth += 1;
    }
    bits.extend(std::iter::repeat_n(false, depth));
    bits
}

fn check(bits: &[bool]) {
    let parens = pack(bits);
    let mut words = Vec::new();
    let at = ShapeAt::write(&parens, bits.len() / 2, &mut words);
    words.push(u64::MAX);
    let shape = at.shape(&words);
    let mut open = Vec::new();
    let (mut index, mut leaf_count) = (0, 0);
    for (place, opens) in bits.iter().enumerate() {
        assert_eq!(shape.opens(place), *opens);
        assert_eq!((shape.rank(place), shape.leaf_rank(place)), (index, leaf_count));
        if *opens {
            assert_eq!(shape.select(index), place);
            if let Some(parent) = open.last() {
                assert_eq!(shape.open_before(place), *parent);
            }
            open.push(place);
            index += 1;
            if !bits[place + 1] {
                assert_eq!(shape.leaf_select(leaf_count), place);
                leaf_count += 1;
            }
        } else {
            let begin = open.pop().unwrap();
            assert_eq!(shape.close(begin), place, "of {begin}");
            assert_eq!(shape.open_before(place), begin);
        }
    }
    assert_eq!((at.nodes() as usize, at.leaves() as usize), (index, leaf_count));
}

proptest! {
    #[test]
    fn moves_as_bit_by_bit(
        steps in prop::collection::vec((any::<bool>(), 0u8..6), 0..3000),
        deep in prop_oneof![Just(0usize), 0usize..40, 0usize..3000],
    ) {
        check(&tree(&steps, deep));
    }
}

#[test]
fn long_lists_and_deep_chains() {
    for count in [1, 2, 31, 32, 33, 255, 256, 257, 70_000, 300_000] {
        let list: Vec<bool> =
            [true].into_iter().chain([true, false].repeat(count)).chain([false]).collect();
        check(&list);
        let chain: Vec<bool> = [vec![true; count], vec![false; count]].concat();
        check(&chain);
    }
}
