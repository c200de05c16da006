//! Figures: plain data in, vector graphics out.
