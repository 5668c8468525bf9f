"""What is done to the pixels of an image before its lines are found and read: measured first, only what helps."""
