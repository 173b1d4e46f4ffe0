"""The RS-DFM network: encoder, mapping, compression, interaction, heads."""
