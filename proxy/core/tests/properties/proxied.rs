//! The header of the PROXY protocol, however it arrives.

use proxy_core::proxy_protocol::{LONGEST, Read, read};

/// What follows a header changes nothing of it, and however little of it has come, never more is said to be missing than
/// belongs to it.
pub(crate) fn a_header_is_the_same_in_pieces(input: &[u8]) {
    let whole = read(input);
    let header = match whole {
        Ok(Read::Whole(header)) => header,
        Ok(Read::Partial(more)) => {
            assert!(more > 0 && input.len() + more <= LONGEST);
            return;
        }
        Err(_) => {
            for cut in 0..input.len() {
                assert!(!matches!(read(&input[..cut]), Ok(Read::Whole(_))), "its first {cut} bytes are one");
            }
            return;
        }
    };
    assert!(header.length <= input.len().min(LONGEST));
    assert_eq!(read(&input[..header.length]), whole);
    for cut in 0..header.length {
        let Ok(Read::Partial(more)) = read(&input[..cut]) else {
            unreachable!("its first {cut} bytes are no beginning")
        };
        assert!(more > 0 && cut + more <= header.length, "{more} after {cut} of {}", header.length);
    }
}
