// The least that a process can be: the floor of every start.
int main() { return 0; }
