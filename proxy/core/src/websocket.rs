//! Where the frames of a WebSocket begin and end (RFC 6455 §5.2), so that it can be closed between two of them.

/// A close frame from a server with status 1001, "going away" (§7.4.1): whoever gets it connects again elsewhere.
pub const GOING_AWAY_TO_CLIENT: &[u8] = &[0x88, 2, 0x03, 0xe9];
/// The same from a client, whose frames are masked (§5.3). With the key 0 the text is as it is.
pub const GOING_AWAY_TO_SERVER: &[u8] = &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];

/// The longest head: two bytes, eight of length, four of mask.
const LONGEST_HEAD: usize = 14;
const CLOSE: u8 = 0x8;

/// One direction of a WebSocket, of which every byte is shown once and in order.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    /// What is known of the head of the current frame; nothing between two frames.
    head: [u8; LONGEST_HEAD],
    head_length: usize,
    /// How much of the current frame follows its head.
    payload: u64,
    closed: bool,
}

impl Frames {
    /// How many of these bytes belong to the current frame: all, or those up to its end. Between two frames it is the
    /// one that begins.
    #[must_use]
    pub fn rest_of_frame(&self, bytes: &[u8]) -> usize {
        let mut ahead = self.clone();
        let mut length = 0;
        while length < bytes.len() {
            length += ahead.step(&bytes[length..]);
            if ahead.is_between() {
                break;
            }
        }
        length
    }

    /// These bytes have passed.
    pub fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let step = self.step(bytes);
            bytes = &bytes[step..];
        }
    }

    /// Whether the next byte begins a frame.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.head_length == 0 && self.payload == 0
    }

    /// Whether a close frame has passed: nothing may follow it (§5.5.1).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes one byte of a head or as much of a payload as there is, and says how much.
    fn step(&mut self, bytes: &[u8]) -> usize {
        if self.payload > 0 {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).min(self.payload);
            self.payload -= length;
            return usize::try_from(length).unwrap_or(bytes.len());
        }
        let Some((byte, place)) = bytes.first().zip(self.head.get_mut(self.head_length)) else {
            return bytes.len();
        };
        *place = *byte;
        self.head_length += 1;
        if let Some(payload) = payload(&self.head[..self.head_length]) {
            self.closed |= self.head[0] & 0x0f == CLOSE;
            self.payload = payload;
            self.head_length = 0;
        }
        1
    }
}

/// The length of the payload, once the head is whole.
fn payload(head: &[u8]) -> Option<u64> {
    let [_, second, rest @ ..] = head else { return None };
    let extended = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    if rest.len() < extended + mask {
        return None;
    }
    let length = rest[..extended].iter().fold(0_u64, |length, byte| (length << 8) | u64::from(*byte));
    Some(if extended == 0 { u64::from(second & 0x7f) } else { length })
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// A frame of this payload's length, masked or not.
    fn frame(opcode: u8, length: usize, masked: bool) -> Vec<u8> {
        let (mask, two_bytes, eight_bytes) = (if masked { 0x80 } else { 0 }, 0x7e, 0x7f);
        let mut frame = vec![0x80 | opcode];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            126..65_536 => {
                frame.push(mask | two_bytes);
                frame.extend(u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask | eight_bytes);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        if masked {
            frame.extend([1, 2, 3, 4]);
        }
        // What looks like a head in a payload is none.
        frame.extend(vec![0x88; length]);
        frame
    }

    fn frames() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let length = prop_oneof![0..5_usize, 120..130_usize, 65_530..65_540_usize];
        vec(
            (0..3_u8, length, any::<bool>())
                .prop_map(|(opcode, length, masked)| frame(opcode, length, masked)),
            1..6,
        )
    }

    proptest! {
        #[test]
        fn boundaries_are_where_frames_end_however_the_bytes_are_cut(frames in frames(), cuts in vec(1..70_000_usize, 1..9)) {
            let all: Vec<u8> = frames.concat();
            let (mut seen, mut at, mut end) = (Frames::default(), 0, 0);
            let ends: Vec<usize> = frames.iter().map(|frame| { end += frame.len(); end }).collect();
            for cut in cuts.iter().cycle() {
                let next = (at + cut).min(all.len());
                let end = *ends.iter().find(|end| **end > at).unwrap();
                prop_assert_eq!(seen.rest_of_frame(&all[at..next]), end.min(next) - at);
                seen.pass(&all[at..next]);
                at = next;
                prop_assert_eq!(seen.is_between(), ends.contains(&at));
                if at == all.len() {
                    break;
                }
            }
            prop_assert!(!seen.is_closed());
        }
    }

    #[test]
    fn our_own_close_frames_are_frames() {
        for close in [GOING_AWAY_TO_CLIENT, GOING_AWAY_TO_SERVER] {
            let mut frames = Frames::default();
            assert_eq!(frames.rest_of_frame(close), close.len());
            frames.pass(close);
            assert!(frames.is_between() && frames.is_closed());
        }
    }

    #[test]
    fn a_frame_without_payload_ends_with_its_head() {
        let mut frames = Frames::default();
        frames.pass(&[0x89]);
        assert!(!frames.is_between());
        frames.pass(&[0x00]);
        assert!(frames.is_between());
    }
}
