from services.cli.entry import main

main()
