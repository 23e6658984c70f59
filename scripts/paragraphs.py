"""Short texts in the languages of the bundled voices, by which their loudness is measured."""

from __future__ import annotations

PARAGRAPHS = {
    "en": "The train to the coast leaves at half past eight. Please take a seat by the window, and keep your ticket at "
    "hand. Do you see the bridge over there? We will cross it before noon, and then the mountains begin.",
    "de": "Der Zug an die Küste fährt um halb neun ab. Bitte nehmen Sie am Fenster Platz, und halten Sie Ihre "
    "Fahrkarte bereit. Sehen Sie die Brücke dort drüben? Wir überqueren sie vor Mittag, und dann beginnen die Berge.",
    "es": "El tren a la costa sale a las ocho y media. Siéntese junto a la ventana, por favor, y tenga a mano su "
    "billete. ¿Ve usted aquel puente? Lo cruzaremos antes del mediodía, y después empiezan las montañas.",
    "fr": "Le train pour la côte part à huit heures et demie. Prenez place près de la fenêtre, et gardez votre billet "
    "à portée de main. Voyez-vous le pont là-bas ? Nous le passerons avant midi, puis les montagnes commencent.",
    "it": "Il treno per la costa parte alle otto e mezza. Si sieda vicino al finestrino, per favore, e tenga pronto il "
    "biglietto. Vede quel ponte laggiù? Lo passeremo prima di mezzogiorno, e poi cominciano le montagne.",
    "pt": "O comboio para a costa parte às oito e meia. Sente-se junto à janela, por favor, e tenha o bilhete à mão. "
    "Está a ver aquela ponte? Vamos passá-la antes do meio-dia, e depois começam as montanhas.",
    "nl": "De trein naar de kust vertrekt om half negen. Neemt u plaats bij het raam, en houd uw kaartje bij de hand. "
    "Ziet u die brug daar? We rijden er voor de middag overheen, en dan beginnen de bergen.",
    "pl": "Pociąg nad morze odjeżdża o wpół do dziewiątej. Proszę usiąść przy oknie i trzymać bilet pod ręką. Czy "
    "widzi pan tamten most? Przejedziemy przez niego przed południem, a potem zaczynają się góry.",
    "sv": "Tåget till kusten går klockan halv nio. Sätt dig vid fönstret och ha biljetten till hands. Ser du bron där "
    "borta? Vi åker över den före middagen, och sedan börjar bergen.",
    "da": "Toget til kysten kører klokken halv ni. Sæt dig ved vinduet, og hav billetten ved hånden. Kan du se broen "
    "derovre? Vi kører over den før middag, og så begynder bjergene.",
    "nb": "Toget til kysten går klokka halv ni. Sett deg ved vinduet, og ha billetten for hånden. Ser du brua der "
    "borte? Vi kjører over den før middag, og så begynner fjellene.",
    "fi": "Juna rannikolle lähtee puoli yhdeksältä. Istukaa ikkunan viereen ja pitäkää lippu käsillä. Näettekö tuon "
    "sillan? Ylitämme sen ennen puoltapäivää, ja sitten alkavat vuoret.",
    "cs": "Vlak k moři odjíždí v půl deváté. Posaďte se prosím k oknu a mějte jízdenku po ruce. Vidíte tamten most? "
    "Přejedeme ho před polednem a potom začínají hory.",
    "sk": "Vlak k moru odchádza o pol deviatej. Sadnite si prosím k oknu a majte lístok poruke. Vidíte tamten most? "
    "Prejdeme ho pred poludním a potom sa začínajú hory.",
    "hu": "A tengerparti vonat fél kilenckor indul. Kérem, üljön az ablak mellé, és tartsa kéznél a jegyét. Látja ott "
    "azt a hidat? Dél előtt átmegyünk rajta, és aztán kezdődnek a hegyek.",
    "ro": "Trenul spre coastă pleacă la opt și jumătate. Vă rog să luați loc lângă fereastră și să țineți biletul la "
    "îndemână. Vedeți podul de acolo? Îl trecem înainte de amiază, și apoi încep munții.",
    "bg": "Влакът за морето тръгва в осем и половина. Моля, седнете до прозореца и дръжте билета си под ръка. "
    "Виждате ли онзи мост? Ще го преминем преди обяд, а после започват планините.",
    "el": "Το τρένο για την ακτή φεύγει στις οκτώμισι. Παρακαλώ καθίστε δίπλα στο παράθυρο και κρατήστε το εισιτήριό "
    "σας. Βλέπετε εκείνη τη γέφυρα; Θα την περάσουμε πριν το μεσημέρι, και μετά αρχίζουν τα βουνά.",
    "ru": "Поезд к морю отправляется в половине девятого. Пожалуйста, садитесь у окна и держите билет под рукой. Вы "
    "видите тот мост? Мы проедем его до полудня, а потом начинаются горы.",
    "uk": "Потяг до моря вирушає о пів на дев'яту. Будь ласка, сідайте біля вікна і тримайте квиток під рукою. Бачите "
    "той міст? Ми проїдемо його до полудня, а потім починаються гори.",
    "tr": "Sahil treni sekiz buçukta kalkıyor. Lütfen pencere kenarına oturun ve biletinizi hazır tutun. Şu köprüyü "
    "görüyor musunuz? Öğleden önce onu geçeceğiz, sonra dağlar başlıyor.",
    "ar": "يغادر القطار إلى الساحل في الثامنة والنصف. من فضلك اجلس بجانب النافذة وأبق تذكرتك معك. هل ترى ذلك الجسر "
    "هناك؟ سنعبره قبل الظهر، ثم تبدأ الجبال.",
    "he": "הרכבת לחוף יוצאת בשמונה וחצי. בבקשה שבו ליד החלון והחזיקו את הכרטיס ביד. האם אתם רואים את הגשר שם? נעבור "
    "אותו לפני הצהריים, ואז מתחילים ההרים.",
    "fa": "قطار ساحل ساعت هشت و نیم حرکت می‌کند. لطفا کنار پنجره بنشینید و بلیت خود را آماده نگه دارید. آن پل را "
    "می‌بینید؟ پیش از ظهر از آن می‌گذریم و بعد کوه‌ها شروع می‌شوند.",
    "hi": "समुद्र तट की ट्रेन साढ़े आठ बजे चलती है। कृपया खिड़की के पास बैठिए और अपना टिकट हाथ में रखिए। क्या आप वह पुल देखते हैं? हम उसे "
    "दोपहर से पहले पार करेंगे, और फिर पहाड़ शुरू होते हैं।",
    "id": "Kereta ke pantai berangkat pukul setengah sembilan. Silakan duduk di dekat jendela dan siapkan tiket Anda. "
    "Apakah Anda melihat jembatan itu? Kita akan melewatinya sebelum siang, lalu pegunungan dimulai.",
    "vi": "Chuyến tàu ra bờ biển khởi hành lúc tám giờ rưỡi. Xin mời ngồi cạnh cửa sổ và cầm vé trong tay. Bạn có thấy "
    "cây cầu đằng kia không? Chúng ta sẽ đi qua nó trước buổi trưa, rồi đến vùng núi.",
    "cmn": "去海边的火车八点半出发。请坐在窗户旁边,把车票拿在手里。你看见那边的桥了吗?"
    "我们中午以前会经过那座桥,然后就到山里了。",
    "ko": "바닷가로 가는 기차는 여덟 시 반에 떠납니다. 창가에 앉으시고 표를 손에 들고 계세요. 저기 다리가 보이십니까? "
    "정오 전에 그 다리를 건너고, 그다음에 산이 시작됩니다.",
}
"""By the first part of a BCP 47 tag."""

STORIES = {
    "en": "The old lighthouse stood at the end of the pier. Every evening, when the fishing boats came home, its "
    "keeper climbed the narrow stairs and lit the lamp. Children waved to him from the beach! Would the storm "
    "arrive tonight? Nobody knew, but he had seen worse, and he was not afraid.",
    "de": "Der alte Leuchtturm stand am Ende der Mole. Jeden Abend, wenn die Fischerboote heimkamen, stieg der Wärter "
    "die enge Treppe hinauf und zündete die Lampe an. Kinder winkten ihm vom Strand zu! Würde der Sturm heute "
    "Nacht kommen? Niemand wusste es, aber er hatte schon Schlimmeres gesehen.",
    "fr": "Le vieux phare se dressait au bout de la jetée. Chaque soir, quand les bateaux de pêche rentraient, le "
    "gardien montait l'escalier étroit et allumait la lampe. Les enfants lui faisaient signe depuis la plage! "
    "La tempête viendrait-elle cette nuit? Personne ne le savait, mais il avait vu pire.",
    "es": "El viejo faro estaba al final del muelle. Cada tarde, cuando los barcos de pesca volvían a casa, el farero "
    "subía la estrecha escalera y encendía la lámpara. Los niños lo saludaban desde la playa. Nadie sabía si la "
    "tormenta llegaría esta noche, pero él había visto cosas peores.",
    "it": "Il vecchio faro si trovava alla fine del molo. Ogni sera, quando le barche dei pescatori tornavano a casa, "
    "il guardiano saliva la scala stretta e accendeva la lampada. I bambini lo salutavano dalla spiaggia. "
    "Nessuno sapeva se la tempesta sarebbe arrivata quella notte.",
}
"""A second one, of another kind."""
