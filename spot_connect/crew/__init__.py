"""What runs on the instances of distributed jobs: the head that hands jobs out, and the members that run them."""
