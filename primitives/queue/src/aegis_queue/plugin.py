"""What aegis-queue offers."""
