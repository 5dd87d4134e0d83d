"""Label Studio's formats: label configs and result items, as the values of `allabel_core`. No I/O."""
