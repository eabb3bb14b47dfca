//! A lock of one's own on the waist. What you write is in `preferring.rs`.
#![no_std]
#![forbid(unsafe_code)]

pub mod preferring;
