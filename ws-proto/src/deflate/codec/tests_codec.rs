//! One context compresses, another inflates: bytes compared.

use super::{Broken, Codec, Deflater, Effort, Inflater};

fn effort(level: u8, window_bits: u8) -> Effort {
    Effort { level, memory_level: 8, window_bits }
}

fn inflate(inflater: &mut Inflater, mut input: &[u8], step: usize) -> Result<Vec<u8>, Broken> {
    let mut out = Vec::new();
    loop {
        let chunk = inflater.inflate(&mut input, step)?;
        out.extend_from_slice(chunk);
        if chunk.is_empty() && input.is_empty() {
            break;
        }
    }
    inflater.end()?;
    Ok(out)
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 7u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u8
        })
        .collect()
}

#[test]
fn compressed_data_inflates_at_any_size_level_and_window() {
    let noise = noise(70 * 1024);
    let zeros = vec![0; 70 * 1024];
    for window_bits in 9..=15 {
        for level in 1..=9 {
            let mut deflater = Deflater::new(Codec, effort(level, window_bits));
            let mut inflater = Inflater::new(Codec);
            for len in [0, 1, 2, 3, 0, 63, 64, 1000, 4096, 8191, 8192, 8193, 65535, 70 * 1024, 5] {
                for data in [&noise[..len], &zeros[..len]] {
                    let compressed = deflater.compress(data, true).to_vec();
                    assert_eq!(
                        inflate(&mut inflater, &compressed, usize::MAX).unwrap(),
                        data,
                        "{len} {level}"
                    );
                }
            }
        }
    }
}

#[test]
fn output_of_any_size_is_complete() {
    for len in 0..600 {
        let data = noise(len);
        let mut deflater = Deflater::new(Codec, effort(6, 15));
        let compressed = deflater.compress(&data, true).to_vec();
        for step in [1, 2, 3, 64, len.max(1), len + 1] {
            assert_eq!(
                inflate(&mut Inflater::new(Codec), &compressed, step).unwrap(),
                data,
                "{len} by {step}"
            );
        }
    }
}

#[test]
fn rfc_examples_inflate_to_hello() {
    // §7.2.3.1 to §7.2.3.5, and a final last block.
    let hello: [&[u8]; 5] = [
        b"\xf2\x48\xcd\xc9\xc9\x07\x00",
        b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        b"\xf3\x48\xcd\xc9\xc9\x07\x00",
    ];
    for example in hello {
        assert_eq!(
            inflate(&mut Inflater::new(Codec), example, usize::MAX).as_deref(),
            Ok(&b"Hello"[..]),
            "{example:x?}"
        );
    }
    // §7.2.3.2: the second refers to the first.
    let mut inflater = Inflater::new(Codec);
    for example in [hello[0], b"\xf2\x00\x11\x00\x00"] {
        assert_eq!(inflate(&mut inflater, example, usize::MAX).as_deref(), Ok(&b"Hello"[..]));
    }
    assert_eq!(inflate(&mut Inflater::new(Codec), b"\0", usize::MAX).as_deref(), Ok(&b""[..]));
}

#[test]
fn truncated_or_trailing_data_is_rejected() {
    let data = [noise(300), b"so that there is something to refer to, ".repeat(20)].concat();
    let compressed = Deflater::new(Codec, effort(6, 15)).compress(&data, true).to_vec();
    for cut in 0..compressed.len() {
        let inflated = inflate(&mut Inflater::new(Codec), &compressed[..cut], usize::MAX);
        assert_eq!(inflated, Err(Broken), "{cut} of {}", compressed.len());
    }
    assert!(inflate(&mut Inflater::new(Codec), b"\x07", usize::MAX).is_err(), "an undefined block type");
    assert!(
        inflate(&mut Inflater::new(Codec), b"\xf2\x00\x11\x00\x00", usize::MAX).is_err(),
        "before the window"
    );
}

#[test]
fn each_restarted_stream_is_counted_before_the_next() {
    let mut inflater = Inflater::new(Codec);
    let window = noise(1 << 15);
    let stored = [&[0, 0, 128, 255, 127][..], &window, &[0]].concat();
    assert!(inflate(&mut inflater, &stored, usize::MAX).as_deref() == Ok(&window[..]));
    assert_eq!(inflater.take_work(), 1 << 15);
    let last_blocks = [3, 0].repeat(1000);
    let (mut input, mut steps) = (&last_blocks[..], 0);
    while !input.is_empty() {
        assert_eq!(inflater.inflate(&mut input, usize::MAX), Ok(&[][..]));
        assert!(inflater.take_work() <= 1 << 15, "{} blocks at once", 1000 - input.len() / 2);
        steps += 1;
    }
    assert!(steps >= 1000);
}
