//! The codec of all messages: prost's, with a bound that a message's length does not give. A field that repeats may be empty and take two
//! bytes, and becomes a structure of fifty; so the fields are counted before memory is found for them.

use std::marker::PhantomData;

use prost::Message;
use prost::bytes::Buf as _;
use tonic::Status;
use tonic::codec::{Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstDecoder, ProstEncoder};

use crate::limits::MAX_FIELDS_PER_MESSAGE;

/// Encodes and decodes messages.
#[derive(Debug, Clone)]
pub struct BoundedCodec<T, U>(PhantomData<(T, U)>);

/// Decodes messages of no more than [`MAX_FIELDS_PER_MESSAGE`] fields.
#[derive(Debug, Clone)]
pub struct BoundedDecoder<U>(ProstDecoder<U>);

impl<T, U> Default for BoundedCodec<T, U> {
    fn default() -> Self {
        BoundedCodec(PhantomData)
    }
}

impl<T, U> Codec for BoundedCodec<T, U>
where
    T: Message + Send + 'static,
    U: Message + Default + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = ProstEncoder<T>;
    type Decoder = BoundedDecoder<U>;

    fn encoder(&mut self) -> ProstEncoder<T> {
        ProstCodec::<T, U>::default().encoder()
    }

    fn decoder(&mut self) -> BoundedDecoder<U> {
        BoundedDecoder(ProstCodec::<T, U>::default().decoder())
    }
}

impl<U: Message + Default> Decoder for BoundedDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        check(buffer.chunk())?;
        self.0.decode(buffer)
    }
}

/// Refuses a message with too many fields.
///
/// # Errors
/// With the status for whoever sent it.
pub fn check(message: &[u8]) -> Result<(), Status> {
    match count(message) {
        fields if fields <= MAX_FIELDS_PER_MESSAGE => Ok(()),
        _ => Err(Status::out_of_range(format!(
            "the message has more than {MAX_FIELDS_PER_MESSAGE} fields, counting each time that one repeats"
        ))),
    }
}

/// The fields of a message, one more than there may be at the most. What is damaged ends the count; prost says what is wrong there.
fn count(mut message: &[u8]) -> usize {
    let mut fields = 0;
    while fields <= MAX_FIELDS_PER_MESSAGE {
        let Some(rest) = skip(message) else { break };
        message = rest;
        fields += 1;
    }
    fields
}

/// What follows a field.
fn skip(message: &[u8]) -> Option<&[u8]> {
    let (key, rest) = number(message)?;
    match key & 7 {
        0 => number(rest).map(|(_, rest)| rest),
        1 => rest.get(8..),
        2 => {
            let (length, rest) = number(rest)?;
            rest.get(usize::try_from(length).ok()?..)
        }
        // Groups begin and end with keys alone; nothing of them is kept.
        3 | 4 => Some(rest),
        5 => rest.get(4..),
        _ => None,
    }
}

/// A number of at most ten bytes, seven bits in each, and what follows it.
fn number(message: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in message.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &message[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::v1::{CheckRunsRequest, CommitRequest, CommittedRun, HeartbeatRequest, Held};

    #[test]
    fn every_field_is_counted_once() {
        let commit = CommitRequest {
            worker: "w".to_string(),
            fence: u64::MAX,
            runs: vec![CommittedRun { run: "r".to_string(), log: "x".repeat(300) }; 3],
            ..CommitRequest::default()
        };
        assert_eq!(count(&commit.encode_to_vec()), 5);
        let held = Held { shard: "s".to_string(), train_loss: 0.5, ..Held::default() };
        let beat = HeartbeatRequest { held: vec![held; 7], epochs_per_second: 1.5, ..HeartbeatRequest::default() };
        assert_eq!(count(&beat.encode_to_vec()), 8);
        assert_eq!(count(&[]), 0);
    }

    #[test]
    fn a_message_of_many_empty_fields_is_refused_and_one_at_the_bound_is_not() {
        let runs =
            |count: usize| CommitRequest { runs: vec![CommittedRun::default(); count], ..CommitRequest::default() };
        assert!(check(&runs(MAX_FIELDS_PER_MESSAGE).encode_to_vec()).is_ok());
        let refused = check(&runs(MAX_FIELDS_PER_MESSAGE + 1).encode_to_vec()).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::OutOfRange);
        let largest = CheckRunsRequest { runs: vec!["0".repeat(32); crate::limits::MAX_RUNS_PER_CHECK] };
        assert!(check(&largest.encode_to_vec()).is_ok());
    }

    #[test]
    fn damage_ends_the_count() {
        for damaged in [&[0x0a, 0xff][..], &[0x0a, 5, 1], &[0xff; 20], &[0x09, 1, 2], &[0x0f], &[0x80]] {
            assert_eq!(count(damaged), 0, "{damaged:?}");
        }
    }
}
