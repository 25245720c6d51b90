//! A directory of its own for a test, and the program in it.
