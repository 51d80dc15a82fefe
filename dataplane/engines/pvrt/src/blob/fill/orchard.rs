//! Orchard: banks of what files often hold, in shares of the blob's size.

use super::{Content, Deterministic};

/// What a bank holds; contents are PacketFS's to the byte.
#[derive(Clone, Copy)]
enum Bank {
    Padding,
    Code,
    Elf,
    Rodata,
    Ascii,
    Words,
    Numeric,
    Periods,
    Cover,
    DeBruijn,
    Stubs,
    Relocations,
}

/// Shares of the older variant, which comes behind a palette; prand fills the rest.
const OLDER: [(Bank, f64); 8] = [
    (Bank::Padding, 0.10),
    (Bank::Code, 0.12),
    (Bank::Rodata, 0.12),
    (Bank::Ascii, 0.10),
    (Bank::Words, 0.06),
    (Bank::Numeric, 0.14),
    (Bank::Periods, 0.20),
    (Bank::Cover, 0.10),
];

/// Shares: 1.03 in all, so that the last is cut and nothing is left for prand.
const BANKS: [(Bank, f64); 12] = [
    (Bank::Padding, 0.06),
    (Bank::Code, 0.13),
    (Bank::Elf, 0.14),
    (Bank::Rodata, 0.09),
    (Bank::Ascii, 0.07),
    (Bank::Words, 0.05),
    (Bank::Numeric, 0.10),
    (Bank::Periods, 0.12),
    (Bank::Cover, 0.05),
    (Bank::DeBruijn, 0.10),
    (Bank::Stubs, 0.06),
    (Bank::Relocations, 0.06),
];

/// Puts the banks behind what is there.
pub(super) fn lay(part: &mut Deterministic, size: u64) {
    banks(part, size, &BANKS);
}

/// Puts those of the older variant behind what is there.
pub(super) fn lay_older(part: &mut Deterministic, size: u64) {
    banks(part, size, &OLDER);
}

fn banks(part: &mut Deterministic, size: u64, shares: &[(Bank, f64)]) {
    let room = size - part.size();
    for (bank, share) in shares {
        // The shares are binary fractions nearly; PacketFS rounds the product as this does.
        let want = (room as f64 * share) as u64 / 4096 * 4096;
        bank.lay(part, want.min(size - part.size()));
    }
}

impl Bank {
    fn lay(self, part: &mut Deterministic, len: u64) {
        match self {
            Self::Padding => part.tile(len, [[0; 4096], [0xCC; 4096]].concat()),
            Self::Code => part.tile(len, CODE.concat()),
            Self::Elf => part.tile(len, [&ELF_NAMES.concat(), ELF_RECORDS].concat()),
            Self::Rodata => part.tile(len, RODATA.concat()),
            Self::Ascii => part.tile(len, ASCII.to_vec()),
            Self::Words => part.tile(len, WORDS.to_vec()),
            Self::Cover => part.tile(len, (0..=255).collect()),
            Self::DeBruijn => part.tile(len, de_bruijn()),
            Self::Stubs => part.tile(len, STUB.to_vec()),
            Self::Numeric => {
                part.push(len / 4 * 4, Content::Numbers);
                part.zeros(len % 4);
            }
            Self::Relocations => {
                part.push(len / 16 * 16, Content::Relocations);
                part.zeros(len % 16);
            }
            Self::Periods => {
                // Two of them are the same, as a byte holds no more than 255.
                for period in [64_u64, 128, 256, 256] {
                    let begin = part.size();
                    part.tile(
                        len / 4,
                        (0..period).map(|at| ((begin + at) % period) as u8).collect(),
                    );
                }
                part.zeros(len % 4);
            }
        }
    }
}

/// Short sequences of x86-64: prologues, epilogues, padding, a call and a jump to be filled in.
const CODE: [&[u8]; 8] = [
    b"\x55\x48\x89\xe5",
    b"\x48\x83\xec\x10",
    b"\x48\x83\xc4\x10\xc3",
    b"\xc9\xc3",
    b"\x90\x90\x90\x90\x90\x90\x90\x90",
    b"\x66\x90\x0f\x1f\x00",
    b"\xe8\x00\x00\x00\x00",
    b"\xeb\x00",
];

const ELF_NAMES: [&[u8]; 24] = [
    b"\x7fELF",
    b".text\0",
    b".rodata\0",
    b".data\0",
    b".bss\0",
    b".plt\0",
    b".plt.got\0",
    b".plt.sec\0",
    b".got\0",
    b".got.plt\0",
    b".dynsym\0",
    b".dynstr\0",
    b".rela.dyn\0",
    b".rela.plt\0",
    b"GNU\0",
    b"GLIBC\0",
    b"libc.so.6\0",
    b"ld-linux-x86-64.so.2\0",
    b"__libc_start_main\0",
    b"__libc_csu_init\0",
    b"__libc_csu_fini\0",
    b"_start\0",
    b"main\0",
    b"/bin/bash\0",
];

/// Four offsets of 8 bytes, two records of 16, a stub of the procedure linkage table, 64 zeros.
const ELF_RECORDS: &[u8] = b"\
    \0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x30\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\
    \xff\x25\0\0\0\0\x68\0\0\0\0\xe9\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

const RODATA: [&[u8]; 12] = [
    b"/bin/sh\0",
    b"printf\0",
    b"libc.so.6\0",
    b"malloc\0",
    b"free\0",
    b"main\0",
    b"_start\0",
    b".text\0",
    b".rodata\0",
    b"__libc_start_main\0",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\0",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789\0",
];

const ASCII: &[u8] = b"{ } [ ] : , \" \n true false null \n : \n , \n \t \r \n";

const WORDS: &[u8] = b"the and for you that with have this from not are but all any can had her was \
    one our out day get has how man new now old see two who why use work year time make know take good \
    back even want give most \0\
    about because before between different during first great little long might never place public \
    right small still thing think under where while world would young \0";

/// A jump through the global offset table, a push, a jump, and two entries of that table.
const STUB: &[u8; 32] =
    b"\xff\x25\0\0\0\0\x68\x11\x22\x33\x44\xe9\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// The de Bruijn sequence of nibbles in which each run of five is there once, the high nibble of a
/// byte first: the Lyndon words whose length divides five, in order (Fredricksen, Kessler, Maiorana).
fn de_bruijn() -> Vec<u8> {
    const ORDER: usize = 5;
    let mut nibbles = Vec::with_capacity(1 << (4 * ORDER));
    // Duval's algorithm: the next Lyndon word repeats the last one and counts up at its end.
    let mut word = vec![0_u8];
    loop {
        if ORDER.is_multiple_of(word.len()) {
            nibbles.extend_from_slice(&word);
        }
        word = word.iter().copied().cycle().take(ORDER).collect();
        while word.last() == Some(&15) {
            word.pop();
        }
        match word.last_mut() {
            Some(last) => *last += 1,
            None => break,
        }
    }
    nibbles.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_five_nibbles_is_there_once() {
        let tile = de_bruijn();
        assert_eq!(tile.len(), 524_288);
        let mut seen = vec![false; 1 << 20];
        let nibbles = || tile.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut run = 0_usize;
        for (at, nibble) in nibbles().chain(nibbles().take(4)).enumerate() {
            run = (run << 4 | usize::from(nibble)) & 0xF_FFFF;
            if at >= 4 {
                assert!(!std::mem::replace(&mut seen[run], true), "{run:05x} twice");
            }
        }
    }
}
