from services.devstack.cli import main

main()
