"""What is done to text once it was read: forms of Unicode, words, fields with a meaning; nothing unless asked for."""
