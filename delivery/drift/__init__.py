"""What differs on Azure from what the program made there, and both ways out of each difference."""
