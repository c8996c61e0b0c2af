"""What MatterStack costs on this machine, each figure beside the floor that the machine itself sets."""
