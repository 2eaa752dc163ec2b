package shop

// shelf is one second-level category of the shop, as written by hand.
type shelf struct {
	category string // "Kitchen > Mugs"
	code     string // middle part of the SKU
	find     string // what an English visitor types; several, separated by commas
	zh, de   string // the same word in Chinese and in German, for searches
	brands   string // separated by commas
	with     string // categories bought together with this one, separated by commas
	products string // "name price" separated by semicolons
}

// vocabulary returns the whole assortment: 8 categories of 5 shelves of 6 products.
// Products that stand at the same place of two complementary shelves fit together
// best: the two-person tent and the three-season sleeping bag.
func vocabulary() []shelf {
	all := make([]shelf, 0, 40)
	all = append(all, kitchenAndOutdoor()...)
	all = append(all, booksAndToys()...)
	all = append(all, fashionAndElectronics()...)
	return append(all, gardenAndBeauty()...)
}

func kitchenAndOutdoor() []shelf {
	return []shelf{
		{"Kitchen > Mugs", "MUG", "mug,coffee mug,large cup", "马克杯", "Tasse", "Nordgard,Clay & Kin,Halden",
			"Kitchen > Tea,Kitchen > Coffee",
			"Stoneware Latte Mug 16.50;Speckled Breakfast Mug 14.90;Double-Walled Glass Mug 18.90;Enamel Kitchen Mug 12.90;Handmade Tea Mug with Infuser 24.50;Porcelain Mug Set of Four 39.90"},
		{"Kitchen > Coffee", "COF", "coffee beans,espresso,ground coffee", "咖啡豆", "Kaffeebohnen", "Rösterei Amsel,Altura,Kaffa Direct",
			"Kitchen > Espresso,Kitchen > Mugs",
			"Dark Roast Espresso Beans 1 kg 21.90;House Blend Coffee Beans 500 g 13.50;Single Origin Ethiopia Beans 250 g 11.90;Decaf Espresso Beans 500 g 14.90;Filter Coffee Ground 500 g 10.90;Coffee Discovery Box 29.00"},
		{"Kitchen > Espresso", "ESP", "espresso cups,moka pot,milk frother", "意式咖啡壶", "Espressokanne", "Brevo,Casa Lenta,Halden",
			"Kitchen > Coffee",
			"Espresso Cups Set of Six 32.90;Stovetop Moka Pot 6 Cups 34.90;Manual Coffee Grinder 54.00;Handheld Milk Frother 19.90;Pour-Over Coffee Dripper 22.50;Stainless Steel French Press 44.90"},
		{"Kitchen > Tea", "TEA", "green tea,loose leaf tea,teapot", "茶叶", "Tee", "Leaf & Vale,Shan Garden,Teehaus Lind",
			"Kitchen > Mugs",
			"Loose Leaf Earl Grey 100 g 9.90;Darjeeling First Flush 100 g 17.50;Jasmine Green Tea Pearls 14.90;Alpine Herb Tea 12.00;Cast Iron Teapot 0.8 l 48.00;Tea Tasting Set 26.90"},
		{"Kitchen > Knives", "KNI", "chef knife,bread knife,cutting board", "厨房刀具", "Kochmesser", "Solinger Hof,Yamato Edge,Nordgard",
			"Kitchen > Espresso,Books > Cooking",
			"Chef's Knife 20 cm 79.00;Serrated Bread Knife 45.00;Oak Cutting Board 38.50;Paring Knife Set 29.90;Santoku Knife with Walnut Handle 96.00;Two-Sided Whetstone 34.00"},

		{"Outdoor > Tents", "TEN", "tent,camping tent,tarp", "帐篷", "Zelt", "Fjellrun,Trailmark,Wildspur",
			"Outdoor > Sleeping Bags,Outdoor > Camp Kitchen",
			"Two-Person Trekking Tent 249.00;Ultralight Solo Tent 319.00;Four-Person Family Tent 389.00;Beach Shelter with UV Protection 69.90;Hammock with Mosquito Net 84.50;Waterproof Tarp 3 x 3 m 59.90"},
		{"Outdoor > Sleeping Bags", "SLP", "sleeping bag,sleeping mat,camping pillow", "睡袋", "Schlafsack", "Fjellrun,Downhaven,Trailmark",
			"Outdoor > Tents,Outdoor > Camp Kitchen",
			"Three-Season Sleeping Bag 139.00;Down Sleeping Bag -5 Degrees 259.00;Self-Inflating Sleeping Mat 74.90;Inflatable Camping Pillow 19.90;Travel Sleeping Bag Liner 34.50;Insulated Trekking Mat 109.00"},
		{"Outdoor > Camp Kitchen", "CMP", "camping stove,camping mug,cookware", "露营炊具", "Campingkocher", "Emberline,Trailmark,Wildspur",
			"Outdoor > Tents,Outdoor > Backpacks",
			"Folding Gas Stove 49.90;Titanium Cookset for Two 89.00;Enamel Camping Mug 14.90;Insulated Steel Bottle 0.75 l 32.90;Spork Set of Four 11.50;Collapsible Water Canister 10 l 18.90"},
		{"Outdoor > Backpacks", "BAG", "backpack,daypack,rucksack", "登山包", "Rucksack", "Wildspur,Fjellrun,Passage",
			"Outdoor > Hiking,Outdoor > Camp Kitchen",
			"Trekking Backpack 55 l 179.00;Daypack 22 l 79.90;Roll-Top Bike Backpack 109.00;Trail Running Vest 94.50;Kids' Hiking Backpack 44.90;Waterproof Duffel 60 l 119.00"},
		{"Outdoor > Hiking", "HIK", "hiking socks,trekking poles,headlamp", "徒步装备", "Wandersocken", "Trailmark,Merinova,Passage",
			"Outdoor > Backpacks",
			"Folding Trekking Poles 89.90;Merino Hiking Socks 22.90;Rechargeable Headlamp 54.90;Gaiters for Wet Trails 36.00;Pocket First Aid Kit 24.90;Ultralight Rain Poncho 39.50"},
	}
}

func booksAndToys() []shelf {
	return []shelf{
		{"Books > Cooking", "COO", "cookbook,baking book,recipes", "食谱", "Kochbuch", "Larch Press,Tischlein Verlag,Harbour Books",
			"Kitchen > Knives,Books > Nature",
			"The Slow Sunday Cookbook 32.00;Bread from One Oven 28.50;Weeknight Noodles 24.90;The Vegetable Year 34.00;Small Cakes, Big Tables 26.00;Fermenting at Home 22.90"},
		{"Books > Crime", "CRI", "crime novel,thriller,detective", "侦探小说", "Krimi", "Harbour Books,Nightjar,Larch Press",
			"Books > Fiction",
			"The Lighthouse Ledger 14.90;Cold Water Street 13.50;A Death in the Orchard 12.90;The Seventh Ferry 15.90;Nobody Called Inspector Lund 14.50;The Quiet Forger 16.90"},
		{"Books > Fiction", "FIC", "novel,fiction,short stories", "小说", "Roman", "Larch Press,Nightjar,Salt Lane",
			"Books > Crime,Kitchen > Tea",
			"The Glass Gardeners 22.00;Letters to a Night Train 18.90;What the River Kept 19.50;A House of Borrowed Rooms 21.00;The Cartographer's Daughters 23.90;Twelve Short Winters 17.90"},
		{"Books > Nature", "NAT", "gardening book,bird guide,field guide", "自然图书", "Gartenbuch", "Larch Press,Field & Fern,Tischlein Verlag",
			"Garden > Seeds,Garden > Tools,Garden > Birds",
			"The Balcony Gardener's Year 26.90;Pruning Made Plain 19.90;Field Guide to Garden Birds 24.00;Wild Herbs and Where to Find Them 21.50;Keeping Bees in the City 27.50;The Compost Handbook 18.50"},
		{"Books > Children", "CHI", "picture book,children's book,bedtime stories", "儿童图书", "Kinderbuch", "Kleiner Wal,Harbour Books,Salt Lane",
			"Toys > Plush,Toys > Wooden",
			"The Bear Who Counted Stars 14.90;Good Night, Little Tram 12.90;The Owl's Hundred Questions 16.50;Pirates Don't Brush 13.90;My First Book of Weather 15.50;The Hedgehog Post Office 14.50"},

		{"Toys > Wooden", "WOD", "wooden train,building blocks,puzzle", "木制玩具", "Holzeisenbahn", "Holzwicht,Lumo Play,Pinewood",
			"Toys > Plush,Books > Children",
			"Wooden Train Starter Set 49.90;Building Blocks in a Bucket 34.90;Stacking Rainbow 39.00;Shape Sorting House 27.50;Marble Run 64.00;Wooden Animal Puzzle 18.90"},
		{"Toys > Plush", "PLU", "teddy bear,plush toy,soft toy", "毛绒玩具", "Kuscheltier", "Kleiner Wal,Lumo Play,Softpaw",
			"Books > Children,Toys > Wooden",
			"Organic Cotton Teddy Bear 29.90;Sleepy Fox Plush 24.50;Barn Owl Plush 22.90;Octopus Comforter 16.90;Heatable Wheat Elephant 27.00;Hand Puppet Hedgehog 19.50"},
		{"Toys > Board Games", "GAM", "board game,card game,family game", "桌游", "Brettspiel", "Würfelwerk,Table North,Pinewood",
			"Toys > Puzzles",
			"Harbour Traders Board Game 39.90;Cooperative Island Game 34.90;Forest Memory Card Game 12.90;Two-Player Tile Duel 22.50;Word Ladder Party Game 24.90;Travel Chess Set 27.90"},
		{"Toys > Puzzles", "PUZ", "jigsaw puzzle,1000 piece puzzle,3d puzzle", "拼图", "Puzzle", "Würfelwerk,Pinewood,Lumo Play",
			"Toys > Board Games",
			"Alpine Lake Jigsaw 1000 Pieces 17.90;World Map Puzzle 500 Pieces 15.90;Night Sky Puzzle Glow in the Dark 19.90;Wooden Brain Teaser Set 23.50;Puzzle Mat with Roll 26.90;Farm Floor Puzzle 14.50"},
		{"Toys > Science", "SCI", "experiment kit,telescope,science kit", "科学玩具", "Experimentierkasten", "Funkenlab,Table North,Lumo Play",
			"Books > Children,Electronics > Charging",
			"Crystal Growing Kit 24.90;Beginner's Telescope 89.00;Solar Robot Building Kit 32.50;Volcano Experiment Kit 19.90;Pocket Microscope 27.90;Weather Station Kit 44.00"},
	}
}

func fashionAndElectronics() []shelf {
	return []shelf{
		{"Fashion > Knitwear", "KNT", "wool sweater,cardigan,merino", "毛衣", "Pullover", "Merinova,Ost & West,Ingrid Vale",
			"Fashion > Accessories",
			"Merino Crew Neck Sweater 89.90;Chunky Cable Knit Cardigan 119.00;Lambswool Vest 74.50;Cashmere Turtleneck 169.00;Cotton Roll Neck 59.90;Fisherman's Sweater 109.00"},
		{"Fashion > Accessories", "ACC", "scarf,beanie,gloves,belt", "围巾", "Schal", "Ingrid Vale,Ost & West,Merinova",
			"Fashion > Knitwear,Fashion > Bags",
			"Ribbed Wool Beanie 29.90;Long Alpaca Scarf 54.90;Touchscreen Leather Gloves 49.90;Silk Neck Scarf 39.00;Braided Leather Belt 44.50;Merino Wrist Warmers 24.90"},
		{"Fashion > Bags", "TOT", "handbag,tote bag,wallet", "手提包", "Handtasche", "Ostermann,Ingrid Vale,Passage",
			"Fashion > Accessories",
			"Canvas Tote Bag 34.90;Leather Crossbody Bag 129.00;Slim Card Wallet 39.90;Weekend Bag in Waxed Cotton 149.00;Belt Bag 44.90;Foldable Shopper 19.90"},
		{"Fashion > Shoes", "SHO", "sneakers,ankle boots,slippers", "鞋子", "Stiefeletten", "Ostermann,Pilgrim Sole,Ost & West",
			"Fashion > Socks",
			"White Leather Sneakers 119.00;Chelsea Boots 159.00;Felt House Slippers 49.90;Canvas Espadrilles 44.90;Lined Winter Boots 179.00;Cork Sandals 79.90"},
		{"Fashion > Socks", "SOC", "socks,tights,wool socks", "袜子", "Socken", "Merinova,Pilgrim Sole,Tuppen",
			"Fashion > Shoes",
			"Invisible Sneaker Socks 5 Pairs 17.90;Fine Merino Dress Socks 16.50;Cosy Bed Socks 14.90;Striped Cotton Socks 3 Pairs 15.90;Thick Boot Socks 18.50;Bamboo Ankle Socks 4 Pairs 16.90"},

		{"Electronics > Audio", "AUD", "headphones,bluetooth speaker,earbuds", "耳机", "Kopfhörer", "Klarton,Resona,Hushline",
			"Electronics > Charging,Electronics > Phone",
			"Noise Cancelling Headphones 199.00;Wireless Earbuds 89.90;Portable Bluetooth Speaker 74.90;Kitchen Radio with DAB 109.00;Record Player with Speakers 189.00;Wired Studio Headphones 129.00"},
		{"Electronics > Charging", "CHG", "power bank,usb-c charger,charging cable", "充电宝", "Ladegerät", "Voltino,Resona,Amperia",
			"Electronics > Phone,Electronics > Audio",
			"Power Bank 20,000 mAh 49.90;Fast USB-C Charger 65 W 39.90;Braided USB-C Cable 2 m 14.90;Wireless Charging Stand 34.90;Travel Adapter with USB 29.90;Solar Charging Panel 21 W 69.00"},
		{"Electronics > Phone", "PHO", "phone case,screen protector,phone holder", "手机壳", "Handyhülle", "Shellcraft,Voltino,Amperia",
			"Electronics > Charging",
			"Leather Phone Case 34.90;Tempered Glass Screen Protector 14.90;Bicycle Phone Mount 27.90;Phone Tripod with Remote 32.50;Magnetic Car Holder 24.90;Waterproof Phone Pouch 16.90"},
		{"Electronics > Smart Home", "HOM", "smart bulb,smart plug,thermostat", "智能家居", "Smart Home", "Lichtwerk,Amperia,Homely",
			"Electronics > Charging",
			"Warm White Smart Bulb 3-Pack 42.90;Smart Plug with Energy Meter 19.90;Radiator Thermostat 59.90;Wireless Doorbell Camera 119.00;Motion Sensor Night Light 22.90;Air Quality Monitor 89.00"},
		{"Electronics > Office", "OFF", "keyboard,mouse,desk lamp,laptop stand", "键盘", "Tastatur", "Tippwerk,Resona,Lichtwerk",
			"Electronics > Audio,Electronics > Charging",
			"Low-Profile Mechanical Keyboard 119.00;Silent Wireless Mouse 34.90;Aluminium Laptop Stand 44.90;LED Desk Lamp with Dimmer 69.90;USB-C Hub 7 in 1 49.90;Webcam Full HD 64.90"},
	}
}

func gardenAndBeauty() []shelf {
	return []shelf{
		{"Garden > Seeds", "SEE", "tomato seeds,flower seeds,herb seeds", "种子", "Saatgut", "Samenhof Lerche,Greenrow,Field & Fern",
			"Garden > Pots,Garden > Tools",
			"Heirloom Tomato Seeds 3.90;Wildflower Meadow Mix 6.90;Kitchen Herb Seed Set 12.90;Climbing Bean Seeds 3.50;Sunflower Giant Seeds 2.90;Chilli Seed Collection 14.50"},
		{"Garden > Pots", "POT", "plant pot,planter,balcony box", "花盆", "Blumentopf", "Terra Sole,Greenrow,Clay & Kin",
			"Garden > Seeds,Garden > Watering",
			"Terracotta Pot 24 cm 14.90;Self-Watering Balcony Box 34.90;Herb Planter with Tray 27.50;Fabric Grow Bags Set of Three 19.90;Hanging Planter with Jute 22.90;Seedling Tray with Lid 16.90"},
		{"Garden > Tools", "TOO", "secateurs,hand trowel,garden gloves", "园艺工具", "Gartenschere", "Schnitthof,Greenrow,Ironbark",
			"Garden > Seeds,Books > Nature",
			"Forged Hand Trowel 24.90;Bypass Secateurs 39.90;Leather Garden Gloves 22.50;Folding Pruning Saw 34.00;Weeding Fork with Ash Handle 27.90;Garden Kneeler and Seat 46.90"},
		{"Garden > Watering", "WAT", "watering can,garden hose,sprinkler", "浇水壶", "Gießkanne", "Regenmann,Greenrow,Terra Sole",
			"Garden > Pots",
			"Galvanised Watering Can 9 l 39.90;Long-Reach Indoor Watering Can 24.90;Expandable Garden Hose 20 m 44.90;Drip Irrigation Starter Kit 59.00;Brass Spray Nozzle 17.90;Rain Barrel Tap Set 21.50"},
		{"Garden > Birds", "BIR", "bird feeder,nesting box,insect hotel", "喂鸟器", "Vogelhaus", "Field & Fern,Holzwicht,Ironbark",
			"Books > Nature",
			"Oak Bird Feeder 36.90;Nesting Box for Tits 24.90;Sunflower Hearts 2 kg 11.90;Insect Hotel 32.50;Copper Bird Bath 59.90;Suet Balls in a Tub 13.90"},

		{"Beauty > Skin Care", "SKN", "face cream,serum,sunscreen", "面霜", "Gesichtscreme", "Birkenau,Pure Lumen,Mira Botanica",
			"Beauty > Bath",
			"Hydrating Face Cream 50 ml 28.90;Vitamin C Serum 30 ml 34.90;Mineral Sunscreen SPF 50 22.90;Gentle Cleansing Foam 16.50;Night Repair Oil 39.00;Clay Mask with Green Tea 18.90"},
		{"Beauty > Bath", "BTH", "soap,bath salt,shower gel", "浴盐", "Badesalz", "Seifenhof,Birkenau,Tide & Thyme",
			"Beauty > Skin Care,Beauty > Candles",
			"Lavender Bath Salt 500 g 14.90;Olive Oil Soap Set of Three 17.90;Rosemary Shower Gel 12.50;Sisal Massage Brush 15.90;Shea Body Butter 21.90;Linen Bath Towel 44.90"},
		{"Beauty > Hair", "HAI", "shampoo,hair brush,conditioner", "洗发水", "Shampoo", "Pure Lumen,Seifenhof,Mira Botanica",
			"Beauty > Bath",
			"Solid Shampoo Bar 11.90;Repair Conditioner 250 ml 15.90;Wooden Detangling Brush 19.90;Argan Hair Oil 24.50;Silk Hair Scrunchies Set 18.50;Scalp Massage Comb 13.90"},
		{"Beauty > Candles", "CAN", "scented candle,diffuser,room spray", "香薰蜡烛", "Duftkerze", "Tide & Thyme,Hallow Wick,Birkenau",
			"Beauty > Bath",
			"Lavender Scented Candle 24.90;Fig and Cedar Candle 29.90;Reed Diffuser White Tea 32.50;Beeswax Pillar Candle 18.90;Linen Room Spray 19.50;Candle Snuffer in Brass 16.90"},
		{"Beauty > Shaving", "SHV", "safety razor,shaving brush,beard oil", "剃须刀", "Rasierhobel", "Klingenthal,Seifenhof,Birkenau",
			"Beauty > Skin Care",
			"Classic Safety Razor 44.90;Stainless Razor Blades 50 Pack 14.90;Sandalwood Shaving Soap 16.90;Vegan Shaving Brush 29.50;Cedar Beard Oil 19.90;Alum Block After Shave 9.90"},
	}
}
