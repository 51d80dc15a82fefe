//! The rings under test, each through its own best interface.

use std::mem::MaybeUninit;
use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use ringbuf::HeapRb;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};

use super::item::{Item, check, fill};

/// A ring and one way to use it.
pub trait Contender<T: Item> {
    /// Its pushing side.
    type In: Send;
    /// Its popping side.
    type Out: Send;

    /// A ring of `slots`.
    fn ring(slots: usize) -> (Self::In, Self::Out);

    /// Pushes up to `buf.len()` items from number `next` on; returns how many. `buf` may be used
    /// to prepare them.
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize;

    /// Pops up to `buf.len()` items and checks them; returns how many, and whether all were
    /// right. `buf` may be used to receive them.
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool);
}

/// `pfs_rings::spsc`, item by item.
#[derive(Debug)]
pub struct PfsItem;

impl<T: Item> Contender<T> for PfsItem {
    type In = pfs_rings::spsc::Producer<T>;
    type Out = pfs_rings::spsc::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        pfs_rings::spsc::ring(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, _buf: &mut [T]) -> usize {
        usize::from(ring.try_push(T::numbered(next)).is_ok())
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, _buf: &mut [T]) -> (usize, bool) {
        ring.pop().map_or((0, true), |item| (1, item.difference(next) == 0))
    }
}

/// `pfs_rings::spsc`, bursts copied in and out.
#[derive(Debug)]
pub struct PfsSlice;

impl<T: Item> Contender<T> for PfsSlice {
    type In = pfs_rings::spsc::Producer<T>;
    type Out = pfs_rings::spsc::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        pfs_rings::spsc::ring(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        fill(buf, next);
        ring.push_slice(buf)
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        let n = ring.pop_into(buf);
        (n, check(&buf[..n], next))
    }
}

/// `pfs_rings::spsc`, bursts written and read in place.
#[derive(Debug)]
pub struct PfsChunk;

impl<T: Item> Contender<T> for PfsChunk {
    type In = pfs_rings::spsc::Producer<T>;
    type Out = pfs_rings::spsc::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        pfs_rings::spsc::ring(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        let mut chunk = ring.reserve(buf.len());
        let (first, second) = chunk.as_mut_slices();
        fill(first, next);
        fill(second, next + first.len() as u64);
        let n = chunk.len();
        chunk.commit(n)
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        let chunk = ring.peek(buf.len());
        let (first, second) = chunk.as_slices();
        let right = check(first, next) && check(second, next + first.len() as u64);
        let n = chunk.len();
        (chunk.release(n), right)
    }
}

/// `rtrb`, item by item.
#[derive(Debug)]
pub struct RtrbItem;

impl<T: Item> Contender<T> for RtrbItem {
    type In = rtrb::Producer<T>;
    type Out = rtrb::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        rtrb::RingBuffer::new(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, _buf: &mut [T]) -> usize {
        usize::from(ring.push(T::numbered(next)).is_ok())
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, _buf: &mut [T]) -> (usize, bool) {
        ring.pop().map_or((0, true), |item| (1, item.difference(next) == 0))
    }
}

/// `rtrb`, whole bursts copied in and out.
#[derive(Debug)]
pub struct RtrbSlice;

impl<T: Item> Contender<T> for RtrbSlice {
    type In = rtrb::Producer<T>;
    type Out = rtrb::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        rtrb::RingBuffer::new(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        fill(buf, next);
        ring.push_partial_slice(buf).0.len()
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        let n = ring.pop_partial_slice(buf).0.len();
        (n, check(&buf[..n], next))
    }
}

/// `rtrb`, whole bursts written and read in place.
#[derive(Debug)]
pub struct RtrbChunk;

impl<T: Item> Contender<T> for RtrbChunk {
    type In = rtrb::Producer<T>;
    type Out = rtrb::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        rtrb::RingBuffer::new(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        let Ok(mut chunk) = ring.write_chunk(buf.len()) else { return 0 };
        let (first, second) = chunk.as_mut_slices();
        fill(first, next);
        fill(second, next + first.len() as u64);
        chunk.commit_all();
        buf.len()
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        let Ok(chunk) = ring.read_chunk(buf.len()) else { return (0, true) };
        let (first, second) = chunk.as_slices();
        let right = check(first, next) && check(second, next + first.len() as u64);
        chunk.commit_all();
        (buf.len(), right)
    }
}

/// `rtrb`, uninitialised chunks written in place (its quickest way to push), read in place.
#[derive(Debug)]
pub struct RtrbUninit;

impl<T: Item> Contender<T> for RtrbUninit {
    type In = rtrb::Producer<T>;
    type Out = rtrb::Consumer<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        rtrb::RingBuffer::new(slots)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        let Ok(mut chunk) = ring.write_chunk_uninit(buf.len()) else { return 0 };
        let (first, second) = chunk.as_mut_slices();
        let slots = first.iter_mut().chain(second);
        for (number, slot) in (next..).zip(slots) {
            *slot = MaybeUninit::new(T::numbered(number));
        }
        // SAFETY: every slot of the chunk was written just now.
        unsafe { chunk.commit_all() };
        buf.len()
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        RtrbChunk::pop(ring, next, buf)
    }
}

/// `ringbuf`, bursts copied in and out.
#[derive(Debug)]
pub struct Ringbuf;

impl<T: Item> Contender<T> for Ringbuf {
    type In = ringbuf::HeapProd<T>;
    type Out = ringbuf::HeapCons<T>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        HeapRb::new(slots).split()
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, buf: &mut [T]) -> usize {
        fill(buf, next);
        ring.push_slice(buf)
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, buf: &mut [T]) -> (usize, bool) {
        let n = ring.pop_slice(buf);
        (n, check(&buf[..n], next))
    }
}

/// `crossbeam_queue::ArrayQueue`, item by item: it has no bursts.
#[derive(Debug)]
pub struct Array;

impl<T: Item> Contender<T> for Array {
    type In = Arc<ArrayQueue<T>>;
    type Out = Arc<ArrayQueue<T>>;

    fn ring(slots: usize) -> (Self::In, Self::Out) {
        let queue = Arc::new(ArrayQueue::new(slots));
        (Arc::clone(&queue), queue)
    }

    #[inline(always)]
    fn push(ring: &mut Self::In, next: u64, _buf: &mut [T]) -> usize {
        usize::from(ring.push(T::numbered(next)).is_ok())
    }

    #[inline(always)]
    fn pop(ring: &mut Self::Out, next: u64, _buf: &mut [T]) -> (usize, bool) {
        ring.pop().map_or((0, true), |item| (1, item.difference(next) == 0))
    }
}
