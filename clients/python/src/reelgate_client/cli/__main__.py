from reelgate_client.cli import main

main()
