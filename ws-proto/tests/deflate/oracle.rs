//! An independent check of the engine's output: a slow and strict inflater (RFC 1951). It checks how far back a message
//! refers, and how it ends.

/// A fault in a message.
pub(crate) type Fault = &'static str;

/// Reads the messages of one direction.
pub(crate) struct Oracle {
    takeover: bool,
    window: usize,
    /// Everything read so far that messages may refer to.
    history: Vec<u8>,
}

const LENGTHS: [(usize, u32); 29] = table(&[
    (3, 8, 0, 1),
    (11, 4, 1, 2),
    (19, 4, 2, 4),
    (35, 4, 3, 8),
    (67, 4, 4, 16),
    (131, 4, 5, 32),
    (258, 1, 0, 0),
]);

const DISTANCES: [(usize, u32); 30] = table(&[
    (1, 4, 0, 1),
    (5, 2, 1, 2),
    (9, 2, 2, 4),
    (17, 2, 3, 8),
    (33, 2, 4, 16),
    (65, 2, 5, 32),
    (129, 2, 6, 64),
    (257, 2, 7, 128),
    (513, 2, 8, 256),
    (1025, 2, 9, 512),
    (2049, 2, 10, 1024),
    (4097, 2, 11, 2048),
    (8193, 2, 12, 4096),
    (16385, 2, 13, 8192),
]);

/// §3.2.5, from rows: the first value, the number of codes, their extra bits, and their spacing.
const fn table<const N: usize>(rows: &[(usize, usize, u32, usize)]) -> [(usize, u32); N] {
    let mut table = [(0, 0); N];
    let (mut at, mut row) = (0, 0);
    while row < rows.len() {
        let (first, codes, bits, step) = rows[row];
        let mut n = 0;
        while n < codes {
            table[at] = (first + n * step, bits);
            at += 1;
            n += 1;
        }
        row += 1;
    }
    table
}

impl Oracle {
    pub(crate) fn new(takeover: bool, window_bits: u8) -> Self {
        Self { takeover, window: 1 << window_bits, history: Vec::new() }
    }

    /// Inflates a message, given the joined payloads of its frames.
    pub(crate) fn message(&mut self, compressed: &[u8]) -> Result<Vec<u8>, Fault> {
        if !self.takeover {
            self.history.clear();
        }
        let begin = self.history.len();
        let bytes = [compressed, &[0, 0, 0xff, 0xff]].concat();
        let mut bits = Bits { bytes: &bytes, at: 0 };
        loop {
            let is_last = bits.take(1)? == 1;
            let kind = bits.take(2)?;
            let before = self.history.len();
            match kind {
                0 => self.stored(&mut bits)?,
                1 => self.codes(&mut bits, &fixed())?,
                2 => {
                    let codes = dynamic(&mut bits)?;
                    self.codes(&mut bits, &codes)?;
                }
                _ => return Err("an invalid block type"),
            }
            if bits.at == 8 * bytes.len() {
                let is_empty = kind == 0 && self.history.len() == before && !is_last;
                return if is_empty {
                    Ok(self.take(begin))
                } else {
                    Err("it does not end with an empty block")
                };
            }
        }
    }

    fn take(&mut self, begin: usize) -> Vec<u8> {
        let message = self.history[begin..].to_vec();
        self.history.drain(..self.history.len().saturating_sub(1 << 15));
        message
    }

    fn stored(&mut self, bits: &mut Bits<'_>) -> Result<(), Fault> {
        bits.at = bits.at.next_multiple_of(8);
        let len = bits.take(16)?;
        if bits.take(16)? != len ^ 0xffff {
            return Err("a stored block without its length");
        }
        for _ in 0..len {
            self.history.push(bits.take(8)? as u8);
        }
        Ok(())
    }

    fn codes(&mut self, bits: &mut Bits<'_>, [symbols, distances]: &[Code; 2]) -> Result<(), Fault> {
        loop {
            match symbols.read(bits)? {
                byte @ 0..256 => self.history.push(byte as u8),
                256 => return Ok(()),
                symbol => {
                    let (from, extra) = *LENGTHS.get(symbol - 257).ok_or("an invalid length")?;
                    let len = from + bits.take(extra)? as usize;
                    let code = distances.read(bits)?;
                    let (from, extra) = *DISTANCES.get(code).ok_or("an invalid distance")?;
                    let distance = from + bits.take(extra)? as usize;
                    if distance > self.window.min(self.history.len()) {
                        return Err("further back than it may refer");
                    }
                    for _ in 0..len {
                        self.history.push(self.history[self.history.len() - distance]);
                    }
                }
            }
        }
    }
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, n: u32) -> Result<u32, Fault> {
        let mut value = 0;
        for place in 0..n {
            let byte = self.bytes.get(self.at / 8).ok_or("it ends inside a block")?;
            value |= u32::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }
}

/// A code (§3.2.2): the number of words of each length, and the symbols in the order of their words.
struct Code {
    counts: [u32; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[u8]) -> Self {
        let (mut counts, mut symbols) = ([0; 16], Vec::new());
        for len in 1..16 {
            let of_this = lengths.iter().enumerate().filter(|(_, have)| usize::from(**have) == len);
            symbols.extend(of_this.map(|(symbol, _)| symbol));
            counts[len] = symbols.len() as u32 - counts[..len].iter().sum::<u32>();
        }
        Self { counts, symbols }
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let (mut word, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            word = word << 1 | bits.take(1)?;
            first <<= 1;
            if word < first + count {
                return Ok(self.symbols[(before + word - first) as usize]);
            }
            (first, before) = (first + count, before + count);
        }
        Err("an invalid code")
    }
}

/// §3.2.6.
fn fixed() -> [Code; 2] {
    let symbols = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
    [Code::new(&symbols), Code::new(&[5; 30])]
}

/// §3.2.7.
fn dynamic(bits: &mut Bits<'_>) -> Result<[Code; 2], Fault> {
    const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    let symbols = bits.take(5)? as usize + 257;
    let distances = bits.take(5)? as usize + 1;
    let mut lengths = [0; 19];
    let have = bits.take(4)? as usize + 4;
    for at in &ORDER[..have] {
        lengths[*at] = bits.take(3)? as u8;
    }
    let code = Code::new(&lengths);
    let mut lengths = Vec::new();
    while lengths.len() < symbols + distances {
        let (length, times) = match code.read(bits)? {
            16 => (*lengths.last().ok_or("nothing to repeat")?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length as u8, 1),
        };
        lengths.extend((0..times).map(|_| length));
    }
    if lengths.len() > symbols + distances {
        return Err("more lengths than codes");
    }
    Ok([Code::new(&lengths[..symbols]), Code::new(&lengths[symbols..])])
}
