//! Whole swarms of engines, and single engines under hostile hands.

mod blame;
mod blocks;
mod debt;
mod hand;
mod holders;
mod host;
mod hostile;
mod hub;
mod news;
mod recovery;
mod rest;
mod selection;
mod swarms;
mod world;
