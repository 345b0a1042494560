#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| popwire_fuzz::scenario(data));
