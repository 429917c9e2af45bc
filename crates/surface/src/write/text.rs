//! Numbers as text.

/// A number that reads back as the same f32 (for finite ones; others, which no mesh of ours has, become 0).
pub(super) fn push_float(out: &mut Vec<u8>, value: f32) {
    if !value.is_finite() || value == 0.0 {
        out.push(b'0');
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value);
    out.extend_from_slice(text.strip_suffix(".0").unwrap_or(text).as_bytes());
}

/// A whole number in decimal.
pub(super) fn push_integer(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// A number from -1 to 1 with four decimals, which is more than a normal needs.
pub(super) fn push_unit(out: &mut Vec<u8>, value: f32) {
    let scaled = (value * 10_000.0).round() as i32;
    if scaled < 0 {
        out.push(b'-');
    }
    let scaled = scaled.unsigned_abs();
    push_integer(out, u64::from(scaled / 10_000));
    let mut part = scaled % 10_000;
    if part == 0 {
        return;
    }
    out.push(b'.');
    let mut place = 1000;
    while part > 0 {
        out.push(b'0' + (part / place) as u8);
        part %= place;
        place /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_as_they_were() {
        let mut bits = 0x1234_5678u32;
        for _ in 0..20_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            let mut out = Vec::new();
            push_float(&mut out, value);
            let back: f32 = String::from_utf8(out).unwrap().parse().unwrap();
            assert_eq!(back, if value.is_finite() { value } else { 0.0 });
        }
        for (value, expected) in
            [(0.0, "0"), (-1.0, "-1"), (0.5, "0.5"), (-0.07, "-0.07"), (0.999_96, "1"), (1e-9, "0")]
        {
            let mut out = Vec::new();
            push_unit(&mut out, value);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let mut out = Vec::new();
        [0, 9, 10, 4_294_967_296].into_iter().for_each(|v| push_integer(&mut out, v));
        assert_eq!(out, b"09104294967296");
    }
}
