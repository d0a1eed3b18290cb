from hostd.daemon.main import main

main()
