//! The workload, the same for every engine: keys of 16 to 40 bytes in 1,000 prefixes, values of 32
//! to 256 bytes, all from one seed. The peers' program includes this file.

/// Prefixes that keys are spread over.
pub const PREFIXES: usize = 1000;
/// Rows of a short scan.
pub const ROWS: usize = 20;

/// Random numbers: SplitMix64.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next one.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Strings of bytes, one behind the other.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Strings {
    fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Number of strings.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string at `index`.
    #[inline]
    pub fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        &self.bytes[start..self.ends[index] as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }
}

/// What is put, asked for and scanned.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// Keys in the order in which they are put.
    pub keys: Strings,
    /// Their values.
    pub values: Strings,
    /// Keys in the order in which they are asked for.
    pub asked: Strings,
    /// Where short scans begin: prefixes.
    pub seeks: Strings,
    /// Where short scans begin: anywhere.
    pub places: Strings,
    /// Prefixes, in the order in which they are scanned.
    pub prefixes: Strings,
    /// What all values asked for sum up to.
    pub get_sum: u64,
    /// What all values sum up to.
    pub scan_sum: u64,
}

/// What touching a value gives: its first 8 bytes, its last byte and its length.
#[inline]
pub fn touch(value: &[u8]) -> u64 {
    let first = value.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    first
        .wrapping_add(u64::from(value.last().copied().unwrap_or(0)))
        .wrapping_add(value.len() as u64)
}

fn key(random: &mut Random, prefix: usize) -> Vec<u8> {
    let mut key = format!("ns{prefix:03}:").into_bytes();
    let len = 10 + (random.draw() % 25) as usize;
    let alphabet = b"abcdefghijklmnopqrstuvwxyz234567";
    key.extend((0..len).map(|_| alphabet[(random.draw() % 32) as usize]));
    key
}

impl Workload {
    /// The workload of `keys` keys and `seeks` short scans.
    pub fn new(keys: usize, seeks: usize) -> Self {
        let mut random = Random(7);
        let mut work = Self::default();
        for index in 0..keys {
            let prefix = (random.draw() % PREFIXES as u64) as usize;
            work.keys.push(&key(&mut random, prefix));
            let mut value = vec![0u8; 32 + (random.draw() % 225) as usize];
            value.chunks_mut(8).for_each(|chunk| {
                let bytes = random.draw().to_le_bytes();
                chunk.copy_from_slice(&bytes[..chunk.len()]);
            });
            value[8..16].copy_from_slice(&(index as u64).to_le_bytes());
            work.scan_sum = work.scan_sum.wrapping_add(touch(&value));
            work.values.push(&value);
        }
        for _ in 0..keys {
            let index = (random.draw() % keys as u64) as usize;
            work.get_sum = work.get_sum.wrapping_add(touch(work.values.get(index)));
            work.asked.push(work.keys.get(index));
        }
        for _ in 0..seeks {
            let prefix = (random.draw() % PREFIXES as u64) as usize;
            let place = key(&mut random, prefix);
            work.seeks.push(&place[..6]);
            work.places.push(&place[..9]);
        }
        let mut order: Vec<usize> = (0..PREFIXES).collect();
        order.sort_by_cached_key(|_| random.draw());
        order.iter().for_each(|prefix| work.prefixes.push(format!("ns{prefix:03}:").as_bytes()));
        work
    }
}

/// What one engine reached in one run, rates in millions a second.
pub type Figures = Vec<(String, f64)>;

/// Seconds that `work` takes, and what it gives.
pub fn timed<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let start = std::time::Instant::now();
    let result = work();
    (start.elapsed().as_secs_f64(), result)
}

/// Resident memory of this process in bytes.
pub fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * 4096.0
}

/// Figures as one line that the parent reads: `name=value` by spaces.
pub fn line(figures: &Figures) -> String {
    let parts: Vec<String> =
        figures.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("figures {}", parts.join(" "))
}
