#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| popwire_fuzz::fault_plan(data));
