//! x86-64.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod codes;
pub(super) mod six;
