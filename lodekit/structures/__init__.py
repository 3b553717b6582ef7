"""What comes in: reading extended XYZ, auditing it, packing it, finding neighbours."""
