"""What aegis-workflows offers to the kernel: nothing; its workflows are found by the entry point `aegis.workflows`."""
