"""What happens to packets between UAVs: links that lose, delay and damage, and peers that falsify."""
