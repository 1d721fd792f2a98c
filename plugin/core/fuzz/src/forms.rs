//! Any bytes are a form or none, and a form reads as what was put in. The first zero byte ends the model, and the recording
//! follows.

use tollgate_core::dialect::Dialect;

const DELIMITER: &[u8] = b"\r\n--x";

pub(crate) fn run(bytes: &[u8]) {
    for dialect in [Dialect::OpenaiAudio, Dialect::OpenaiImages] {
        let _ = dialect.read_request(bytes);
        let _ = dialect.read_request(&[b"--", bytes].concat());
    }
    let Some(end) = bytes.iter().position(|byte| *byte == 0) else { return };
    let (model, recording) = bytes.split_at(end);
    let Ok(model) = std::str::from_utf8(model) else { return };
    let ends_early = |part: &[u8]| [part, DELIMITER].concat().windows(DELIMITER.len()).position(|at| at == DELIMITER);
    if ends_early(model.as_bytes()) != Some(model.len()) || ends_early(recording) != Some(recording.len()) {
        return;
    }
    let form = [
        b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n",
        recording,
        b"\r\n--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n",
        model.as_bytes(),
        b"\r\n--x--\r\n",
    ];
    let form = form.concat();
    let request = Dialect::OpenaiAudio.read_request(&form).expect("a form");
    assert_eq!(request.model.as_deref(), Some(model));
}
